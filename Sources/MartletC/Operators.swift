import CMartlet
import MartletCore
import MartletOperators

// Section 11 of martlet.h: any operator by name.

@_cdecl("martlet_op_name_at") @implementation
public func martlet_op_name_at(_ index: Int) -> UnsafePointer<CChar>? {
  infallible {
    guard OperatorTable.all.indices.contains(index) else { return nil }
    return InternedStrings.pointer(OperatorTable.all[index].schema.name)
  }
}

@_cdecl("martlet_op_run") @implementation
public func martlet_op_run(
  _ name: UnsafePointer<CChar>?, _ attributes: OpaquePointer?, _ mode: martlet_math_mode,
  _ inputs: UnsafePointer<OpaquePointer?>?, _ input_count: Int,
  _ outputs: UnsafeMutablePointer<OpaquePointer?>?, _ output_count: Int
) -> martlet_status {
  boundary { () throws(MartletError) in
    let op = OperatorTable.id(named: try text(name, "name"))
    if attributes == nil, input_count == 2, output_count == 1, let inputs, let outputs,
      let lhs = inputs[0], let rhs = inputs[1], let product = OperatorTable.plainProduct(op)
    {
      let lhs = try HandleTable.shared.resolve(lhs, "inputs[0]", as: TensorObject.self)
      let rhs = try HandleTable.shared.resolve(rhs, "inputs[1]", as: TensorObject.self)
      if !rhs.isPacked,
        try OperatorCall.multiply(
          product, lhs, rhs, mode: try effectiveMode(mode), into: outputs)
      {
        return
      }
    }
    let set = try HandleTable.shared.resolveOptional(
      attributes, "attributes", as: AttributeSet.self)
    let call = OperatorCall(op, set?.values ?? [:], mode: try effectiveMode(mode))
    let slots = try ResultSlots(outputs, "outputs", count: try outputCount(output_count))
    var tensors: [Tensor?] = []
    for (index, handle) in try array(inputs, input_count, "inputs").enumerated() {
      tensors.append(try HandleTable.shared.optionalTensor(handle, "inputs[\(index)]"))
    }
    try call.run(tensors, into: slots)
  }
}

/// A number of result slots: 1 or more, and no more than any operator or model has.
func outputCount(_ count: Int) throws(MartletError) -> Int {
  guard (1...1 << 20).contains(count) else {
    throw MartletError(
      .invalidArgument, "output_count is \(UInt(bitPattern: count))", input: "output_count",
      expected: "at least 1", actual: "\(UInt(bitPattern: count))")
  }
  return count
}
