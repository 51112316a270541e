import MartletBackends
import MartletCore

/// One of two subgraphs, as the condition says: the outputs are those of the branch that runs.
///
/// Outputs of the branches must agree in dtype; their shapes may differ. Source: ONNX If-25.
package struct If: Operator {
  package static let schema = OperatorSchema(
    name: "If", inputs: ["cond"], outputs: ["outputs"],
    traits: [.anyElement, .anyKind, .narrow(.carried)])

  private let branches: [any RegionDescription]
  private let thenIndex: Int
  private let elseIndex: Int

  package init(_ node: OperatorNode) throws(MartletError) {
    thenIndex = try node.regionIndex("then_branch", of: "If")
    elseIndex = try node.regionIndex("else_branch", of: "If")
    branches = [node.regions[thenIndex], node.regions[elseIndex]]
    for branch in branches {
      guard branch.inputCount == 0 else {
        throw MartletError(
          .invalidModel, "If: '\(branch.name)' takes \(branch.inputCount) inputs",
          operatorName: "If", input: branch.name, expected: "no inputs",
          actual: "\(branch.inputCount)")
      }
      guard branch.outputCount >= node.outputCount else {
        throw MartletError(
          .invalidModel,
          "If: '\(branch.name)' has \(branch.outputCount) outputs, the node \(node.outputCount)",
          operatorName: "If", input: branch.name, expected: "\(node.outputCount) outputs",
          actual: "\(branch.outputCount)")
      }
    }
  }

  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    let first = try branches[0].infer([])
    let second = try branches[1].infer([])
    var types: [ValueType] = []
    for (index, (a, b)) in zip(first, second).enumerated() {
      if let x = a.dtype, let y = b.dtype, x != y {
        throw MartletError(
          .invalidDType, "If: output \(index) is \(x) in then_branch and \(y) in else_branch",
          operatorName: "If", expected: "\(x)", actual: "\(y)")
      }
      if a.compound != nil || b.compound != nil, a.kind.common(with: b.kind) == nil,
        a.kind != .unknownTensor, b.kind != .unknownTensor
      {
        throw MartletError(
          .invalidDType,
          "If: output \(index) is \(a.text) in then_branch and \(b.text) in else_branch",
          operatorName: "If", expected: a.text, actual: b.text)
      }
      types.append(a.common(with: b))
    }
    return types
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    let condition = try inputs.condition(0)
    let index = condition ? thenIndex : elseIndex
    guard index < context.regions.count else { throw RegionError.missing("If") }
    for value in try context.regions[index].run([], context) { context.deliver(value) }
  }
}

/// What goes wrong between a node and its subgraphs.
enum RegionError {
  static func missing(_ operatorName: String) -> MartletError {
    MartletError(
      .unsupported, "\(operatorName) runs only as a node of a model", operatorName: operatorName)
  }
}

extension OperatorNode {
  /// The place of the region `name` among the node's; throws where it is missing.
  func regionIndex(_ name: String, of operatorName: String) throws(MartletError) -> Int {
    guard let index = regions.firstIndex(where: { $0.name == name }) else {
      throw MartletError(
        .invalidModel, "\(operatorName): attribute '\(name)', a graph, is missing",
        operatorName: operatorName, input: name, expected: "a graph", actual: "nothing")
    }
    return index
  }
}

extension Inputs {
  /// The single bool at `index`.
  func condition(_ index: Int) throws(MartletError) -> Bool {
    let tensor = try required(index, like: .bool)
    guard tensor.count == 1 else {
      throw .shape(
        operatorName, "\(name(index)) must be one bool", expected: "1 element",
        actual: Shape.text(tensor.shape), input: name(index))
    }
    return tensor.typed(UInt8.self)[0] != 0
  }
}
