import CMartlet
import MartletCore
import MartletOperators

// Section 10 of martlet.h: convolution, layer normalisation, attention.

@_cdecl("martlet_conv") @implementation
public func martlet_conv(
  _ input: OpaquePointer?, _ weight: OpaquePointer?, _ bias: OpaquePointer?,
  _ options: UnsafePointer<martlet_conv_options>?, _ mode: martlet_math_mode,
  _ result: UnsafeMutablePointer<OpaquePointer?>?
) -> martlet_status {
  boundary { () throws(MartletError) in
    let slots = try ResultSlots(result, "result")
    let input = try HandleTable.shared.tensor(input, "input")
    let weight = try HandleTable.shared.resolve(weight, "weight", as: TensorObject.self)
    let bias = try HandleTable.shared.optionalTensor(bias, "bias")
    guard (3...5).contains(input.rank) else {
      throw .shape(
        "Conv", "rank of input", expected: "3, 4 or 5", actual: "\(input.rank)", input: "input")
    }
    try OperatorCall(
      "Conv", try convolutionAttributes(options, axes: input.rank - 2),
      mode: try effectiveMode(mode)
    ).run([input, weight.tensor, bias], weight: weight, at: 1, into: slots)
  }
}

@_cdecl("martlet_layer_norm") @implementation
public func martlet_layer_norm(
  _ input: OpaquePointer?, _ scale: OpaquePointer?, _ bias: OpaquePointer?, _ axis: Int64,
  _ epsilon: Float, _ result: UnsafeMutablePointer<OpaquePointer?>?
) -> martlet_status {
  boundary { () throws(MartletError) in
    let slots = try ResultSlots(result, "result")
    let input = try HandleTable.shared.tensor(input, "input")
    let scale = try HandleTable.shared.optionalTensor(scale, "scale")
    let bias = try HandleTable.shared.optionalTensor(bias, "bias")
    guard epsilon >= 0 else {
      throw MartletError(
        .invalidArgument, "LayerNormalization: epsilon is \(epsilon)",
        operatorName: "LayerNormalization", input: "epsilon", expected: "a number >= 0",
        actual: "\(epsilon)")
    }
    let first = try Shape.normalizedAxis(
      Int(axis), rank: input.rank, operatorName: "LayerNormalization")
    let ones = scale == nil ? try filled(input, Array(input.shape[first...]), with: 1) : nil
    try OperatorCall(
      "LayerNormalization", ["axis": .int(Int(axis)), "epsilon": .float(epsilon)]
    ).run(bias == nil ? [input, scale ?? ones] : [input, scale ?? ones, bias], into: slots)
  }
}

@_cdecl("martlet_attention") @implementation
public func martlet_attention(
  _ query: OpaquePointer?, _ key: OpaquePointer?, _ value: OpaquePointer?, _ mask: OpaquePointer?,
  _ scale: Float, _ is_causal: Bool, _ mode: martlet_math_mode,
  _ result: UnsafeMutablePointer<OpaquePointer?>?
) -> martlet_status {
  boundary { () throws(MartletError) in
    let slots = try ResultSlots(result, "result")
    let query = try HandleTable.shared.tensor(query, "query")
    let key = try HandleTable.shared.tensor(key, "key")
    let value = try HandleTable.shared.tensor(value, "value")
    let mask = try HandleTable.shared.optionalTensor(mask, "mask")
    guard (2...4).contains(query.rank), key.rank == query.rank, value.rank == query.rank else {
      throw .shape(
        "Attention", "ranks of query, key and value", expected: "all 2, all 3 or all 4",
        actual: "\(query.rank), \(key.rank), \(value.rank)")
    }
    guard scale.isFinite else {
      throw MartletError(
        .invalidArgument, "Attention: scale is \(scale)", operatorName: "Attention",
        input: "scale", expected: "a finite number", actual: "\(scale)")
    }
    var attributes: [String: AttributeValue] = ["is_causal": .int(is_causal ? 1 : 0)]
    if scale != 0 { attributes["scale"] = .float(scale) }
    let call = OperatorCall("Attention", attributes, mode: try effectiveMode(mode))
    var inputs: [Tensor?] = [
      try withLeadingAxes(query), try withLeadingAxes(key), try withLeadingAxes(value),
    ]
    if let mask { inputs.append(mask) }
    if query.rank == 4 { return try call.run(inputs, into: slots) }
    let destinations = try slots.destinations()
    let results = try call.results(inputs)
    guard let product = results.first, product.rank == 4 else {
      throw MartletError(.internalError, "Attention gave no result", operatorName: "Attention")
    }
    let dropped = 4 - query.rank
    let whole = try product.restrided(
      Array(product.shape[dropped...]), strides: Array(product.strides[dropped...]))
    try slots.receive([whole], destinations)
  }
}

/// The attributes of Conv for the caller's options over so many spatial axes.
private func convolutionAttributes(
  _ options: UnsafePointer<martlet_conv_options>?, axes: Int
) throws(MartletError) -> [String: AttributeValue] {
  guard let options = try MartletC.options(options) else { return [:] }
  var attributes: [String: AttributeValue] = [
    "group": .int(options.groups == 0 ? 1 : Int(options.groups))
  ]
  let lists = [
    ("strides", options.strides, axes), ("dilations", options.dilations, axes),
    ("pads", options.pads, 2 * axes),
  ]
  for (name, values, count) in lists where values != nil {
    attributes[name] = .ints(try array(values, count, name).map { Int($0) })
  }
  return attributes
}

/// A view of rank 4 with unit axes in front.
private func withLeadingAxes(_ tensor: Tensor) throws(MartletError) -> Tensor {
  let missing = [Int](repeating: 1, count: 4 - tensor.rank)
  return try tensor.restrided(missing + tensor.shape, strides: missing + tensor.strides)
}

/// A tensor of the dtype of `model`, float32 or another floating-point type, all of one value.
private func filled(_ model: Tensor, _ shape: [Int], with value: Float) throws(MartletError)
  -> Tensor
{
  let ones = try Tensor(uninitialized: .float32, shape)
  ones.typed(Float.self).initialize(repeating: value, count: ones.count)
  if model.dtype == .float32 || !model.dtype.isFloatingPoint { return ones }
  let converted = try OperatorCall("Cast", ["to": .int(Int(model.dtype.rawValue))]).results([ones])
  return converted.first ?? ones
}
