import MartletCore
import MartletOperators
import Synchronization

/// Bytes that a model takes.
package struct ModelMemory: Sendable, Equatable {
  /// Of the constants that nodes name, and of those of them that lie in the mapped file, whose pages
  /// come and go with their use.
  package var constants: Int
  package var mapped: Int
  /// Of what was made of constants: what runs read in their place.
  package var prepared: Int
  /// Of the arena of the context that ran last, and of the most that its run had in use, its outputs
  /// included; 0 before the first run.
  package var arena: Int
  package var peak: Int
}

/// What the last run of any context took; written at the runs that change it.
final class LastRunMemory: Sendable {
  private let arena = Atomic<Int>(0)
  private let peak = Atomic<Int>(0)

  func set(arena: Int, peak: Int) {
    self.arena.store(arena, ordering: .relaxed)
    self.peak.store(peak, ordering: .relaxed)
  }

  var value: (arena: Int, peak: Int) {
    (arena.load(ordering: .relaxed), peak.load(ordering: .relaxed))
  }
}

extension Plan {
  package var memory: ModelMemory {
    let last = lastRun.value
    return ModelMemory(
      constants: constantBytes, mapped: mappedBytes, prepared: prepared.byteCount,
      arena: last.arena, peak: last.peak)
  }

  /// Bytes that the results of a run with inputs of these shapes take at once, its outputs included, but
  /// not the scratch of single nodes; nil where that depends on data, as it does inside regions.
  ///
  /// Nothing is run. Throws what a run throws on the number and shapes of its inputs.
  package func resultBytes(_ shapes: [[Int]]) throws(MartletError) -> Int? {
    try checkShapes(shapes)
    var graph = graph
    for (id, shape) in zip(graph.inputs, shapes) {
      graph.values[id].type.shape = shape.map { .known($0) }
      graph.values[id].type.elements = nil
    }
    try graph.inferTypes()
    var record = RunRecord()
    for (node, prepared) in zip(graph.nodes, nodes) {
      if prepared.hasRegions { return nil }
      let views = type(of: prepared.operation).schema.traits.viewedInputs
      for (position, id) in node.outputs.enumerated() {
        guard let result = Plan.result(graph.values[id].type) else { return nil }
        record.results.append(result)
        if let input = views.min() {
          record.results[prepared.results.lowerBound + position].origin = .view(of: input)
        }
      }
      record.scratch.append([])
    }
    // No layout takes more than all results side by side.
    var total = 0
    for result in record.results {
      guard let wanted = result.requested ?? result.delivered else { continue }
      let bytes = result.dtype.byteCount(of: wanted.count)
      let (sum, overflow) = total.addingReportingOverflow(bytes)
      guard !overflow, sum < Int.max / 4 else {
        throw MartletError(
          .invalidShape, "the results of a run with inputs of these shapes cannot be addressed",
          expected: "a size below 2^61 bytes")
      }
      total = sum
    }
    let layout = ShapePlan(record, self)
    return layout.arenaBytes + layout.leavingBytes
  }

  /// A result of this type in memory of its own; nil where the type leaves something open.
  private static func result(_ type: ValueType) -> RunRecord.Result? {
    guard let dtype = type.dtype, let dimensions = type.shape else { return nil }
    var shape: [Int] = []
    for dimension in dimensions {
      guard case .known(let extent) = dimension else { return nil }
      shape.append(extent)
    }
    guard (try? Shape.byteCount(shape, dtype)) != nil else { return nil }
    var result = RunRecord.Result()
    result.origin = .fresh
    result.dtype = dtype
    result.requested = TensorLayout(contiguous: shape)
    result.delivered = result.requested
    return result
  }
}
