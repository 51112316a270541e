import MartletCore
import MartletGraph

/// Runs a model, keeping memory from run to run. Used by one thread at a time; a second one that
/// enters gets `invalidState`.
///
/// @unchecked Sendable: `options` belongs to the thread that runs; the executor checks for a second one.
package final class RunSession: @unchecked Sendable {
  package let model: Model
  /// How runs of this session are done from now on; the model's own at first.
  package var options: RunOptions
  private let executor: Executor

  init(_ model: Model) {
    self.model = model
    options = model.options.run
    executor = Executor(model.plan)
  }

  /// Computes all outputs, in the model's order, from inputs by name.
  ///
  /// `destinations` receive the outputs of those names in place. Throws errors that name the input,
  /// with what was expected and what came: missing, extra or misnamed inputs (`notFound`),
  /// `invalidDType`, `invalidShape`; `cancelled`; and the operators' errors with the node's name.
  package func run(
    _ inputs: [String: Tensor], destinations: [String: Tensor] = [:],
    progress: ProgressCallback? = nil
  ) throws(MartletError) -> [Tensor] {
    var ordered: [Tensor] = []
    let missing = model.inputs.map(\.name).filter { inputs[$0] == nil }
    let extra = inputs.keys.filter { key in !model.inputs.contains { $0.name == key } }.sorted()
    guard missing.isEmpty, extra.isEmpty else { throw inputError(missing, extra, inputs) }
    for port in model.inputs {
      if let tensor = inputs[port.name] { ordered.append(tensor) }
    }
    var places = [Tensor?](repeating: nil, count: model.outputs.count)
    for (name, tensor) in destinations {
      guard let index = model.outputs.firstIndex(where: { $0.name == name }) else {
        let known = RunSession.list(model.outputs.map(\.name))
        throw MartletError(
          .notFound, "the model has no output '\(name)'; its outputs are \(known)", input: name,
          expected: known, actual: name)
      }
      places[index] = tensor
    }
    return try run(ordered, destinations: destinations.isEmpty ? [] : places, progress: progress)
  }

  /// Computes all outputs from inputs in the model's order; `destinations[i]` may receive output i.
  package func run(
    _ inputs: [Tensor], destinations: [Tensor?] = [], progress: ProgressCallback? = nil
  ) throws(MartletError) -> [Tensor] {
    try executor.run(inputs, destinations: destinations, options: options, progress: progress)
  }

  /// What each node's matrix work ran as in the last run, in the order of execution.
  package func precisionReport(includingOthers: Bool = false) -> [PrecisionRow] {
    executor.precisionReport(includingOthers: includingOthers)
  }

  /// Whether the time of each node is taken; setting it to true starts anew.
  package var isProfiling: Bool {
    get { executor.isProfiling }
    set { executor.isProfiling = newValue }
  }

  /// Time per node over the runs since `isProfiling` was set.
  package var profile: [ProfileRow] { executor.profile }

  package var memoryStatistics: MemoryStatistics { executor.memoryStatistics }

  /// Gives memory that is kept for the next run back to the system.
  package func trimMemory() { executor.trimMemory() }

  private func inputError(_ missing: [String], _ extra: [String], _ inputs: [String: Tensor])
    -> MartletError
  {
    let expected = RunSession.list(model.inputs.map(\.name))
    var problems: [String] = []
    if !missing.isEmpty {
      problems.append("missing input\(missing.count > 1 ? "s" : "") \(RunSession.list(missing))")
    }
    if !extra.isEmpty {
      problems.append("no input is named \(RunSession.list(extra))")
    }
    return MartletError(
      .notFound, problems.joined(separator: "; ") + "; the model's inputs are \(expected)",
      input: missing.first ?? extra.first, expected: expected,
      actual: RunSession.list(inputs.keys.sorted()))
  }

  private static func list(_ names: [String]) -> String {
    names.isEmpty ? "none" : names.map { "'\($0)'" }.joined(separator: ", ")
  }
}
