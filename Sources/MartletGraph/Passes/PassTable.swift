import Glibc
import MartletCore
import MartletPlatform

/// A rewriting of the graph that keeps what it computes.
package struct Pass: Sendable {
  /// The name by which `Model.Options.disabledPasses` and `MARTLET_DISABLE_PASSES` leave it out.
  package let name: String
  package let apply: @Sendable (inout Graph) throws(MartletError) -> Void

  package init(
    _ name: String, _ apply: @escaping @Sendable (inout Graph) throws(MartletError) -> Void
  ) {
    self.name = name
    self.apply = apply
  }
}

/// What a pass did: nodes before and after.
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
      let before = graph.nodes.count
      try pass.apply(&graph)
      reports.append(
        PassReport(name: pass.name, nodesBefore: before, nodesAfter: graph.nodes.count))
    }
    try graph.sortTopologically()
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
