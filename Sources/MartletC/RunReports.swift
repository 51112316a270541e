import CMartlet
import MartletBackends
import MartletCore
import MartletGraph
import MartletRuntime

/// The precision report and the profile of a context's last run, for C and for people.
final class RunReports {
  private let nodes: UnsafeMutableBufferPointer<martlet_node_info>
  private var texts: [String: CText] = [:]
  private let precision: CText
  private let profile: CText?

  init(_ session: RunSession, mode: MathMode) {
    let rows = session.precisionReport(includingOthers: true)
    // A node with several kinds of matrix work has several rows, in the order of the nodes.
    let times = session.isProfiling ? session.profile : []
    precision = CText(RunReports.text(rows, mode))
    let hasRun = times.first.map { $0.runs > 0 } ?? false
    profile = hasRun ? CText(RunReports.text(times)) : nil
    nodes = .allocate(capacity: rows.count)
    nodes.initialize(repeating: martlet_node_info())
    var timed: Set<Int> = []
    for (index, row) in rows.enumerated() {
      let isMatrixWork = row.precision != "unchanged"
      nodes[index].node = text(row.node)
      nodes[index].operator_name = text(row.operatorName)
      nodes[index].precision = isMatrixWork ? text(row.precision) : nil
      nodes[index].kernel = isMatrixWork ? text(row.kernel) : nil
      nodes[index].backend = isMatrixWork ? text(row.backend) : nil
      nodes[index].reason = isMatrixWork && !row.reason.isEmpty ? text(row.reason) : nil
      // The time of a node with several rows stands in the first, so that sums come out right.
      guard timed.insert(row.index).inserted, times.indices.contains(row.index) else { continue }
      let time = times[row.index]
      nodes[index].nanoseconds = time.nanoseconds / Int64(max(time.runs, 1))
    }
  }

  deinit { nodes.deallocate() }

  var nodeCount: Int { nodes.count }
  var precisionText: UnsafePointer<CChar> { precision.pointer }
  var profileText: UnsafePointer<CChar>? { profile?.pointer }

  func node(_ index: Int) -> UnsafePointer<martlet_node_info>? {
    guard nodes.indices.contains(index), let base = nodes.baseAddress else { return nil }
    return UnsafePointer(base + index)
  }

  /// One copy of each text.
  private func text(_ string: String) -> UnsafePointer<CChar> {
    if let known = texts[string] { return known.pointer }
    let made = CText(string)
    texts[string] = made
    return made.pointer
  }

  // MARK: - For people

  private static func text(_ rows: [PrecisionRow], _ mode: MathMode) -> String {
    let products = rows.filter { $0.precision != "unchanged" }
    var lines = [
      "mode \(mode), instruction set \(ISASelection.current.name): "
        + "\(products.count) matrix products, \(rows.count - products.count) other nodes"
    ]
    let nameWidth = products.map(\.node.count).max() ?? 0
    let operatorWidth = products.map(\.operatorName.count).max() ?? 0
    for row in products {
      let reason = row.reason.isEmpty ? "" : " (\(row.reason))"
      lines.append(
        "\(padded(row.node, nameWidth))  \(padded(row.operatorName, operatorWidth))  "
          + "\(row.precision)  \(row.backend) \(row.kernel)\(reason)")
    }
    return lines.joined(separator: "\n") + "\n"
  }

  private static func text(_ rows: [ProfileRow]) -> String {
    let runs = Int64(max(rows.first?.runs ?? 1, 1))
    let total = max(rows.reduce(0) { $0 + $1.nanoseconds }, 1)
    func line(_ nanoseconds: Int64, _ name: String) -> String {
      let micros = nanoseconds / runs / 1000
      let permille = nanoseconds * 1000 / total
      let share = "\(permille / 10).\(permille % 10)%"
      return "\(padded("\(micros)", 10, right: true)) us \(padded(share, 6, right: true))  \(name)"
    }
    var byOperator: [String: Int64] = [:]
    for row in rows { byOperator[row.operatorName, default: 0] += row.nanoseconds }
    var lines = ["mean of \(runs) runs: \(total / runs / 1000) us in \(rows.count) nodes"]
    for (name, time) in byOperator.sorted(by: { ($1.value, $0.key) < ($0.value, $1.key) }) {
      lines.append(line(time, name))
    }
    lines.append("by node:")
    for row in rows.sorted(by: { ($1.nanoseconds, $0.node) < ($0.nanoseconds, $1.node) }) {
      lines.append(line(row.nanoseconds, "\(row.node) (\(row.operatorName))"))
    }
    return lines.joined(separator: "\n") + "\n"
  }

  private static func padded(_ text: String, _ width: Int, right: Bool = false) -> String {
    let space = String(repeating: " ", count: max(width - text.count, 0))
    return right ? space + text : text + space
  }
}
