import MartletCore
import MartletOperators

/// A graph made ready to run: one operator instance per node and flat tables of what each reads,
/// writes and releases. Immutable; shared by the executors of all threads.
package final class Plan: Sendable {
  /// Where a node's operand comes from, in one word: a slot (>= 0), the complement of a constant's
  /// index (< 0), or `absent`.
  typealias Operand = Int
  static let absent = Int.min

  struct PreparedNode: Sendable {
    let operation: any Operator
    /// Ranges of `operands`, `results` and `releases`.
    let inputs: Range<Int>
    let outputs: Range<Int>
    let released: Range<Int>
    /// Whether any output is an output of the graph.
    let hasDestination: Bool
  }

  /// One result of a node.
  struct Result: Sendable {
    /// Its slot, or -1 when nothing reads it.
    let slot: Int
    /// The graph output that it is (the first, if it is several), or -1.
    let output: Int
  }

  package let graph: Graph
  let nodes: [PreparedNode]
  let operands: [Operand]
  let results: [Result]
  /// Slots that are read for the last time, grouped by node.
  let releases: [Int]
  let constants: [Tensor]
  let slotCount: Int
  /// The slots that the graph's inputs are put into.
  let inputSlots: [Int]
  let outputOperands: [Operand]
  /// Storages that results must not share: those of constants.
  let constantStorages: Set<ObjectIdentifier>

  /// Prepares `graph`, whose nodes are in topological order with inferred types.
  ///
  /// Throws what an operator throws on its attributes and constants, naming the node.
  package init(_ graph: Graph, progress: ProgressCallback? = nil) throws(MartletError) {
    var operands: [Operand] = []
    var results: [Result] = []
    var releases: [Int] = []
    var nodes: [PreparedNode] = []
    var constants: [Tensor] = []
    var operandOf = [Operand?](repeating: nil, count: graph.values.count)
    var slotCount = 0
    for id in graph.inputs {
      operandOf[id] = slotCount
      slotCount += 1
    }
    func operand(_ id: ValueID) throws(MartletError) -> Operand {
      if let known = operandOf[id] { return known }
      guard let constant = graph.values[id].constant else {
        throw MartletError(
          .invalidModel, "value '\(graph.values[id].name)' is read but nothing makes it",
          input: graph.values[id].name)
      }
      constants.append(constant)
      operandOf[id] = ~(constants.count - 1)
      return ~(constants.count - 1)
    }
    var outputOf: [ValueID: Int] = [:]
    for (index, output) in graph.outputs.enumerated() where outputOf[output.value] == nil {
      outputOf[output.value] = index
    }
    let uses = graph.useCounts()
    let lastReads = Plan.lastReads(graph)
    let graph = try Plan.aligned(graph)
    for (index, node) in graph.nodes.enumerated() {
      try Progress.report("prepare", index, of: graph.nodes.count, to: progress)
      let operation = try graph.makeOperator(node)
      let firstOperand = operands.count
      for input in node.inputs {
        guard let input else {
          operands.append(Plan.absent)
          continue
        }
        do throws(MartletError) { operands.append(try operand(input)) } catch {
          throw error.at(node)
        }
      }
      let firstResult = results.count
      var hasDestination = false
      for id in node.outputs {
        let output = outputOf[id] ?? -1
        hasDestination = hasDestination || output >= 0
        if uses[id] > 0 {
          operandOf[id] = slotCount
          slotCount += 1
        }
        results.append(Result(slot: uses[id] > 0 ? slotCount - 1 : -1, output: output))
      }
      let firstRelease = releases.count
      for id in lastReads[index] {
        if let slot = operandOf[id], slot >= 0 { releases.append(slot) }
      }
      nodes.append(
        PreparedNode(
          operation: operation, inputs: firstOperand..<operands.count,
          outputs: firstResult..<results.count, released: firstRelease..<releases.count,
          hasDestination: hasDestination))
    }
    var outputOperands: [Operand] = []
    for output in graph.outputs { outputOperands.append(try operand(output.value)) }
    self.graph = graph
    self.nodes = nodes
    self.operands = operands
    self.results = results
    self.releases = releases
    self.constants = constants
    self.slotCount = slotCount
    self.inputSlots = Array(graph.inputs.indices)
    self.outputOperands = outputOperands
    self.constantStorages = Set(constants.map { ObjectIdentifier($0.storage) })
  }

  /// The weight inputs of operators that read them byte by byte or with loads for any address; an
  /// unaligned weight that only these read stays where it lies in the model's file.
  private static let takesAnyAddress: [String: Int] = [
    "Conv": 1, "Gather": 0, "Gemm": 1, "Linear": 1, "MatMul": 1,
  ]

  /// The graph with aligned copies of the unaligned constants that need it.
  private static func aligned(_ source: Graph) throws(MartletError) -> Graph {
    var graph = source
    func align(_ id: ValueID) throws(MartletError) {
      guard let constant = graph.values[id].constant, !constant.isAligned else { return }
      graph.values[id].type.constant = try constant.copied()
    }
    for node in source.nodes {
      for (slot, id) in node.inputs.enumerated() {
        if let id, takesAnyAddress[node.operatorName] != slot { try align(id) }
      }
    }
    for output in source.outputs { try align(output.value) }
    return graph
  }

  /// Bytes of the constants that runs read (those packed elsewhere are still counted here).
  package var constantBytes: Int {
    constants.reduce(0) { $0 + $1.count * $1.dtype.byteCount }
  }

  /// For each node the values that no later node reads and that are not outputs.
  private static func lastReads(_ graph: Graph) -> [[ValueID]] {
    var seen = Set(graph.outputs.map(\.value))
    var result = [[ValueID]](repeating: [], count: graph.nodes.count)
    for index in graph.nodes.indices.reversed() {
      for case let id? in graph.nodes[index].inputs where seen.insert(id).inserted {
        result[index].append(id)
      }
    }
    return result
  }
}
