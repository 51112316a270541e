import Glibc
import MartletCore
import MartletPlatform

/// What a pass did: nodes before and after, those inside regions included.
package struct PassReport: Sendable, Equatable {
  package let name: String
  package let nodesBefore: Int
  package let nodesAfter: Int
}

/// All passes in the order in which they run, one line each.
package enum PassTable {
  package static let all: [Pass] = [
    QuantizedProducts.pass,
    ConstantFolding.pass,
    IdentityRemoval.pass,
    CommonSubexpressions.pass,
    DeadCode.pass,
    ConvolutionFolding.pass,
    LayerNormRecognition.pass,
    ActivationRecognition.pass,
    AttentionRecognition.pass,
    DeadCode.pass,
    EpilogueFusion.pass,
    DeadCode.pass,
  ]

  /// Infers types, then runs the passes of `level` (0: none) but those named in `disabled`.
  package static func optimize(
    _ graph: inout Graph, level: Int, disabled: Set<String> = [],
    progress: ProgressCallback? = nil
  ) throws(MartletError) -> [PassReport] {
    try graph.inferTypes()
    guard level > 0 else { return [] }
    for name in disabled.sorted() where !all.contains(where: { $0.name == name }) {
      let known = all.map(\.name).joined(separator: ", ")
      throw MartletError(
        .notFound, "unknown pass '\(name)'; known: \(known)", expected: known, actual: name)
    }
    let skipped = disabled.union(disabledByEnvironment)
    var reports: [PassReport] = []
    for (index, pass) in all.enumerated() where !skipped.contains(pass.name) {
      try Progress.report("optimize", index, of: all.count, to: progress)
      let before = graph.nodeCount
      try pass.apply(&graph)
      reports.append(
        PassReport(name: pass.name, nodesBefore: before, nodesAfter: graph.nodeCount))
    }
    return reports
  }

  /// Names in `MARTLET_DISABLE_PASSES`, between commas; for looking for faults. Unknown ones warn
  /// once and are ignored.
  private static let disabledByEnvironment: [String] = {
    guard let value = getenv("MARTLET_DISABLE_PASSES") else { return [] }
    let names = String(cString: value).split(separator: ",").map { String($0) }
    for name in names where !all.contains(where: { $0.name == name }) {
      let known = all.map(\.name).joined(separator: ", ")
      mp_warn("MARTLET_DISABLE_PASSES: '\(name)' is ignored; known: \(known)")
    }
    return names
  }()
}
