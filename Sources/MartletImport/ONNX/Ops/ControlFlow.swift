import MartletCore
import MartletGraph

/// Loop, Scan and SequenceMap: their bodies become regions.
enum ControlFlow {
  static func convert(_ converter: inout ONNXConverter, _ node: ImportedNode) throws(MartletError) {
    try converter.emitWithRegions(node.operatorType, for: node)
  }
}

/// If: where its condition is known before the run, the branch takes its place; else the branches
/// become regions.
enum IfForms {
  static func convert(_ converter: inout ONNXConverter, _ node: ImportedNode) throws(MartletError) {
    guard let thenBranch = node.graphs["then_branch"], let elseBranch = node.graphs["else_branch"]
    else { throw node.error(.invalidModel, "a branch is missing") }
    guard let condition = node.input(0) else {
      throw node.error(.invalidModel, "input 'cond' is missing", input: "cond")
    }
    guard let value = try converter.graph.evaluate(condition), value.dtype == .bool,
      value.count == 1
    else {
      return try converter.emitWithRegions(
        "If", missing: "If with a condition computed at run time", for: node)
    }
    try converter.inline(value.typed(UInt8.self)[0] != 0 ? thenBranch : elseBranch, node)
  }
}
