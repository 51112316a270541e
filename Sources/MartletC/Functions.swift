import CMartlet
import MartletCore
import MartletGraph
import MartletOperators

// Section 10 of martlet.h: the functions without options. `Functions+Layers.swift` has the others.

@_cdecl("martlet_matmul") @implementation
public func martlet_matmul(
  _ lhs: OpaquePointer?, _ rhs: OpaquePointer?, _ mode: martlet_math_mode,
  _ result: UnsafeMutablePointer<OpaquePointer?>?
) -> martlet_status {
  boundary { () throws(MartletError) in
    let slot = try required(result, "result")
    let lhs = try HandleTable.shared.resolve(lhs, "lhs", as: TensorObject.self)
    let rhs = try HandleTable.shared.resolve(rhs, "rhs", as: TensorObject.self)
    let mode = try effectiveMode(mode)
    let product: (any PlainMatrixProduct)? =
      if let packed = rhs.packed { packed.plainProduct } else { MatMul.plain }
    if let product, try OperatorCall.multiply(product, lhs, rhs, mode: mode, into: slot) {
      return
    }
    try OperatorCall(MatMul.schema.id, mode: mode).run(
      [lhs.tensor, rhs.tensor], weight: rhs, at: 1, into: try ResultSlots(slot, "result"))
  }
}

@_cdecl("martlet_linear") @implementation
public func martlet_linear(
  _ input: OpaquePointer?, _ weight: OpaquePointer?, _ bias: OpaquePointer?,
  _ mode: martlet_math_mode, _ result: UnsafeMutablePointer<OpaquePointer?>?
) -> martlet_status {
  boundary { () throws(MartletError) in
    let slots = try ResultSlots(result, "result")
    let input = try HandleTable.shared.tensor(input, "input")
    let weight = try HandleTable.shared.resolve(weight, "weight", as: TensorObject.self)
    let bias = try HandleTable.shared.optionalTensor(bias, "bias")
    try OperatorCall(Linear.schema.id, mode: try effectiveMode(mode))
      .run([input, weight.tensor, bias], weight: weight, at: 1, into: slots)
  }
}

@_cdecl("martlet_softmax") @implementation
public func martlet_softmax(
  _ input: OpaquePointer?, _ axis: Int64, _ result: UnsafeMutablePointer<OpaquePointer?>?
) -> martlet_status {
  boundary { () throws(MartletError) in
    let slots = try ResultSlots(result, "result")
    let input = try HandleTable.shared.tensor(input, "input")
    try OperatorCall("Softmax", ["axis": .int(Int(axis))]).run([input], into: slots)
  }
}

@_cdecl("martlet_gelu") @implementation
public func martlet_gelu(
  _ input: OpaquePointer?, _ use_tanh: Bool, _ result: UnsafeMutablePointer<OpaquePointer?>?
) -> martlet_status {
  boundary { () throws(MartletError) in
    let slots = try ResultSlots(result, "result")
    let input = try HandleTable.shared.tensor(input, "input")
    try OperatorCall("Gelu", ["approximate": .string(use_tanh ? "tanh" : "none")])
      .run([input], into: slots)
  }
}

@_cdecl("martlet_pack") @implementation
public func martlet_pack(
  _ weight: OpaquePointer?, _ packed: UnsafeMutablePointer<OpaquePointer?>?
) -> martlet_status {
  packed?.pointee = nil
  return boundary { () throws(MartletError) in
    let result = try required(packed, "packed")
    let weight = try HandleTable.shared.tensor(weight, "weight")
    result.pointee = try HandleTable.shared.create(
      TensorObject(try weight.copied(), packed: PackedWeight()))
  }
}
