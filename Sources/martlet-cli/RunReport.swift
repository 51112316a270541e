import MartletCore
import MartletGraph
import MartletRuntime

/// What `martlet run` prints.
struct RunReport {
  let model: Model
  let session: RunSession
  let results: [Value]
  let files: ResultFiles
  let runs: Runs
  let values: ValueText
  let hasPrecision: Bool
  let hasProfile: Bool

  // MARK: - Text

  func text() throws(MartletError) -> String {
    var table = TextTable(["output", "type", "file"])
    for (index, value) in results.enumerated() {
      table.add([
        model.outputs[index].name, RunReport.type(value),
        files.paths(of: index).joined(separator: ", "),
      ])
    }
    var parts = [table.text]
    var isFirst = true
    // What is in a file is not printed too, unless all is asked for.
    for (index, value) in results.enumerated()
    where values.isFull || files.paths(of: index).isEmpty {
      let heading = results.count > 1 ? "\(model.outputs[index].name)\n" : ""
      let printed = heading + (try values.text(value))
      // One output stands right below its line.
      if isFirst, results.count == 1 { parts[0] += "\n" + printed } else { parts.append(printed) }
      isFirst = false
    }
    if hasPrecision {
      var rows = TextTable(["node", "operator", "precision", "kernel", "why"])
      for row in session.precisionReport() {
        rows.add([row.node, row.operatorName, row.precision, row.kernel, row.reason])
      }
      parts.append(rows.text)
    }
    if !runs.warm.sorted.isEmpty {
      let times = runs.warm
      parts.append(
        "\(times.sorted.count) warm runs (after \(Runs.coldRuns) that do not count): min "
          + "\(times.percentile(0).fixed(3)) ms, p50 \(times.median.fixed(3)), "
          + "p90 \(times.percentile(0.9).fixed(3)), p99 \(times.percentile(0.99).fixed(3)); "
          + "the first took \((Double(runs.firstNanoseconds) / 1e6).fixed(3)) ms")
    }
    if hasProfile { parts.append(profileTable()) }
    return parts.joined(separator: "\n\n")
  }

  /// Times per run, the longest first.
  private func profileTable() -> String {
    var rows = TextTable(["node", "operator", "us a run", "share"], numeric: 2..<4)
    let profile = session.profile.sorted { RunReport.mean($0) > RunReport.mean($1) }
    let total = profile.reduce(0) { $0 + RunReport.mean($1) }
    for row in profile {
      let share = total > 0 ? 100 * RunReport.mean(row) / total : 0
      rows.add([
        row.node, row.operatorName, (RunReport.mean(row) / 1e3).fixed(1), "\(share.fixed(1))%",
      ])
    }
    return rows.text
  }

  private static func mean(_ row: ProfileRow) -> Double {
    Double(row.nanoseconds) / Double(max(row.runs, 1))
  }

  private static func type(_ value: Value) -> String {
    guard let tensor = value.tensor else { return value.summary }
    return "\(tensor.dtype) \(Shape.text(tensor.shape))"
  }

  // MARK: - JSON

  func document() throws(MartletError) -> JSON {
    var outputs: [JSON] = []
    for (index, value) in results.enumerated() {
      let tensor = value.tensor
      let shape = tensor.map { tensor in JSON.array(tensor.shape.map { .int($0) }) }
      outputs.append(
        .object([
          ("name", .string(model.outputs[index].name)),
          ("dtype", .optional(tensor.map { "\($0.dtype)" })), ("shape", shape ?? .null),
          ("values", try values.json(value)),
          ("file", .optional(files.paths(of: index).first)),
        ]))
    }
    var members: [(String, JSON)] = [("outputs", .array(outputs))]
    if hasPrecision {
      let rows = session.precisionReport().map { row in
        JSON.object([
          ("node", .string(row.node)), ("operator", .string(row.operatorName)),
          ("precision", .string(row.precision)), ("kernel", .string(row.kernel)),
          ("reason", .string(row.reason)),
        ])
      }
      members.append(("precision", .array(rows)))
    }
    if !runs.warm.sorted.isEmpty {
      members.append(
        (
          "times",
          .object([
            ("warm_runs", .int(runs.warm.sorted.count)), ("runs_before", .int(Runs.coldRuns)),
            ("first_ms", .number(Double(runs.firstNanoseconds) / 1e6)),
            ("min_ms", .number(runs.warm.percentile(0))), ("p50_ms", .number(runs.warm.median)),
            ("p90_ms", .number(runs.warm.percentile(0.9))),
            ("p99_ms", .number(runs.warm.percentile(0.99))),
          ])
        ))
    }
    if hasProfile {
      let rows = session.profile.map { row in
        JSON.object([
          ("node", .string(row.node)), ("operator", .string(row.operatorName)),
          ("runs", .int(row.runs)), ("nanoseconds_per_run", .number(RunReport.mean(row).rounded())),
        ])
      }
      members.append(("profile", .array(rows)))
    }
    return .object(members)
  }
}
