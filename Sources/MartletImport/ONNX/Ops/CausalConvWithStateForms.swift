import MartletCore
import MartletGraph
import MartletOperators

/// CausalConvWithState-27: a depthwise convolution over what came before and the input, whose last
/// elements are the state of the next. 16-bit floats are rounded once, at the end.
enum CausalConvWithStateForms {
  static func convert(_ converter: inout ONNXConverter, _ node: ImportedNode) throws(MartletError) {
    var node = node
    let activation = try node.takeString("activation") ?? "none"
    guard ["none", "silu", "swish"].contains(activation) else {
      throw node.error(
        .invalidModel, "activation '\(activation)', expected none, silu or swish",
        input: "activation")
    }
    try node.checkAllTaken()
    let input = try node.required(0, "input")
    let weight = try node.required(1, "weight")
    guard let shape = converter.type(of: weight).shape, shape.count == 3,
      case .known(let channels) = shape[0], case .known(let taps) = shape[2]
    else {
      throw node.error(
        .unsupported, "input 'weight' must be of known extents [channels, 1, k]", input: "weight")
    }
    guard channels > 0, taps > 0 else {
      throw node.error(
        .invalidModel, "input 'weight' of extents [\(channels), 1, \(taps)]", input: "weight")
    }
    let whole: ValueID
    if let past = node.input(3) {
      whole = try converter.emitInner("Concat", [past, input], ["axis": .int(2)], for: node)
    } else {
      let pads = try converter.constant([0, 0, taps - 1, 0, 0, 0], for: node)
      whole = try converter.emitInner("Pad", [input, pads], for: node)
    }
    var inputs: [ValueID?] = []
    for value in [whole, weight, node.input(2)] {
      inputs.append(
        try value.map { value throws(MartletError) in
          try converter.widened(value, for: node)
        })
    }
    var y = try converter.emitInner("Conv", inputs, ["group": .int(channels)], for: node)
    if activation != "none" { y = try converter.emitInner("Swish", [y], for: node) }
    try converter.emitNarrowed(y, like: input, output: 0, for: node)
    let start = try converter.constant([taps == 1 ? Int.max : 1 - taps], for: node)
    let end = try converter.constant([Int.max], for: node)
    let axis = try converter.constant([2], for: node)
    try converter.emit("Slice", [whole, start, end, axis], output: 1, for: node)
  }
}
