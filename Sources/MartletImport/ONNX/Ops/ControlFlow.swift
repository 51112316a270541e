import MartletCore
import MartletGraph

/// Loop and Scan are not supported.
enum ControlFlow {
  static func convert(_ converter: inout ONNXConverter, _ node: ImportedNode) throws(MartletError) {
    converter.note(missing: node.operatorType, node)
  }
}

/// If is supported where its condition is known before the run: the branch takes its place.
enum IfForms {
  static func convert(_ converter: inout ONNXConverter, _ node: ImportedNode) throws(MartletError) {
    guard let thenBranch = node.graphs["then_branch"], let elseBranch = node.graphs["else_branch"]
    else { throw node.error(.invalidModel, "a branch is missing") }
    guard let condition = node.input(0) else {
      throw node.error(.invalidModel, "input 'cond' is missing", input: "cond")
    }
    guard let value = try converter.graph.evaluate(condition), value.dtype == .bool,
      value.count == 1
    else { return converter.note(missing: "If with a condition computed at run time", node) }
    try converter.inline(value.typed(UInt8.self)[0] != 0 ? thenBranch : elseBranch, node)
  }
}
