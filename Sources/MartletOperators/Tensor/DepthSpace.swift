import MartletBackends
import MartletCore

/// Blocks of channels spread over the plane: [N, C, H, W] to [N, C/b^2, H b, W b].
/// Source: ONNX DepthToSpace-13.
package struct DepthToSpace: Operator {
  package static let schema = OperatorSchema(
    name: "DepthToSpace", inputs: ["input"],
    attributes: [
      "blocksize": "b, required",
      "mode": "whether the block's place comes first in the channels (DCR) or last (CRD); DCR",
    ], traits: [.anyElement])
  private let block: Int
  private let isColumnRowDepth: Bool

  package init(_ node: OperatorNode) throws(MartletError) {
    block = try BlockSize.parse(node.attributes)
    isColumnRowDepth = try ChannelOrder.isColumnRowDepth(node.attributes)
  }

  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    guard let input = inputs.type(0), var shape = input.shape, shape.count == 4 else {
      return [.unknown(inputs.type(0)?.dtype)]
    }
    shape[1] = Inference.divided(shape[1], by: block * block)
    for axis in 2..<4 { shape[axis] = Inference.times(shape[axis], .known(block)) }
    return [ValueType(dtype: input.dtype, shape: shape)]
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    let input = try inputs.required(0)
    guard input.rank == 4, input.shape[1] % (block * block) == 0 else {
      throw .shape(
        "DepthToSpace", "the input does not fit blocks of \(block)",
        expected: "[N, a multiple of \(block * block), H, W]", actual: Shape.text(input.shape),
        input: "input")
    }
    let (n, h, w) = (input.shape[0], input.shape[2], input.shape[3])
    let c = input.shape[1] / (block * block)
    let split = isColumnRowDepth ? [n, c, block, block, h, w] : [n, block, block, c, h, w]
    let order = isColumnRowDepth ? [0, 1, 4, 2, 5, 3] : [0, 3, 4, 1, 5, 2]
    let source = try context.contiguous(input).reshaped(split).permuted(order)
    let output = try context.output(0, input.dtype, [n, c, h * block, w * block])
    Copying.copy(source, into: try output.reshaped(source.shape), context.workspace)
    context.deliver(output)
  }
}

/// Blocks of the plane gathered into channels: [N, C, H, W] to [N, C b^2, H/b, W/b].
/// Source: ONNX SpaceToDepth-28.
package struct SpaceToDepth: Operator {
  package static let schema = OperatorSchema(
    name: "SpaceToDepth", inputs: ["input"],
    attributes: [
      "blocksize": "b, required",
      "mode": "whether the block's place comes first in the channels (DCR) or last (CRD); DCR",
    ], traits: [.anyElement])
  private let block: Int
  private let isColumnRowDepth: Bool

  package init(_ node: OperatorNode) throws(MartletError) {
    block = try BlockSize.parse(node.attributes)
    isColumnRowDepth = try ChannelOrder.isColumnRowDepth(node.attributes)
  }

  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    guard let input = inputs.type(0), var shape = input.shape, shape.count == 4 else {
      return [.unknown(inputs.type(0)?.dtype)]
    }
    shape[1] = Inference.times(shape[1], .known(block * block))
    for axis in 2..<4 { shape[axis] = Inference.divided(shape[axis], by: block) }
    return [ValueType(dtype: input.dtype, shape: shape)]
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    let input = try inputs.required(0)
    guard input.rank == 4, input.shape[2] % block == 0, input.shape[3] % block == 0 else {
      throw .shape(
        "SpaceToDepth", "the input does not fit blocks of \(block)",
        expected: "[N, C, H, W] with H and W multiples of \(block)",
        actual: Shape.text(input.shape), input: "input")
    }
    let (n, c) = (input.shape[0], input.shape[1])
    let (h, w) = (input.shape[2] / block, input.shape[3] / block)
    let source = try context.contiguous(input).reshaped([n, c, h, block, w, block])
      .permuted(isColumnRowDepth ? [0, 1, 3, 5, 2, 4] : [0, 3, 5, 1, 2, 4])
    let output = try context.output(0, input.dtype, [n, c * block * block, h, w])
    Copying.copy(source, into: try output.reshaped(source.shape), context.workspace)
    context.deliver(output)
  }
}

private enum BlockSize {
  static func parse(_ attributes: Attributes) throws(MartletError) -> Int {
    let block = try attributes.int("blocksize", default: 0)
    guard (1...1 << 16).contains(block) else {
      throw MartletError(
        .invalidArgument, "\(attributes.operatorName): attribute 'blocksize' is \(block)",
        operatorName: attributes.operatorName, input: "blocksize", expected: "1...65536",
        actual: "\(block)")
    }
    return block
  }
}

private enum ChannelOrder {
  static func isColumnRowDepth(_ attributes: Attributes) throws(MartletError) -> Bool {
    let mode = try attributes.string("mode", default: "DCR")
    guard mode == "DCR" || mode == "CRD" else {
      throw MartletError(
        .invalidArgument,
        "\(attributes.operatorName): attribute 'mode' must be DCR or CRD, got \(mode)",
        operatorName: attributes.operatorName, input: "mode", expected: "DCR or CRD", actual: mode)
    }
    return mode == "CRD"
  }
}
