import MartletCore
import MartletOperators

/// A graph made ready to run: one operator instance per node and flat tables of what each reads and
/// who reads its results. Immutable; shared by the executors of all threads.
package final class Plan: Sendable {
  struct PreparedNode: Sendable {
    let operation: any Operator
    /// Its operands' numbers, which count through all nodes: its inputs, then what its regions
    /// capture.
    let operands: Range<Int>
    /// Its results' numbers.
    let results: Range<Int>
    /// Whether any result is an output of the graph.
    let hasOutput: Bool
    /// Its subgraphs, and which of its operands each captures.
    let regions: [PreparedRegion]
    /// Whether an input may be of a narrow dtype, as far as is known before a run.
    let mayBeNarrow: Bool
    var hasRegions: Bool { !regions.isEmpty }
  }

  struct PreparedRegion: Sendable {
    let plan: Plan
    /// Counted from the node's first operand.
    let captures: Range<Int>
  }

  /// Who reads a value: operand `position` of node `node`, or, where `node` is -1, output `position`
  /// of the graph.
  struct Reader: Sendable {
    let node: Int
    let position: Int
  }

  /// Where an operand comes from.
  enum Source: Sendable {
    case absent
    case constant(Tensor)
    case input(Int)
    case result(Int)
  }

  package let graph: Graph
  let nodes: [PreparedNode]
  /// By operand.
  let sources: [Source]
  /// By result.
  let readers: [[Reader]]
  /// The graph output that a result is (the first, if it is several), or -1.
  let outputOf: [Int]
  /// The results that are outputs of the graph, and which.
  let outputResults: [(result: Int, output: Int)]
  /// By input of the graph.
  let inputReaders: [[Reader]]
  /// By input of the graph: the dtype of a tensor, nil where it is none or that is not known; and see
  /// `inputExtents(_:)`.
  let inputTypes: [DType?]
  let inputExtents: [[InputExtent]?]
  let symbolCount: Int
  /// By output of the graph.
  let outputSources: [Source]
  /// Storages that results must not share: those of constants.
  let constantStorages: Set<ObjectIdentifier>
  /// Bytes of the constants that nodes name (those that are read in a prepared form are still counted
  /// here), and of those that lie in the model's file, mapped.
  package let constantBytes: Int
  package let mappedBytes: Int
  let lastRun = LastRunMemory()
  /// What was made of constants, for the nodes inside regions too.
  package let prepared: PreparedConstants

  /// Prepares `graph`, whose nodes are in topological order with inferred types, and its constants
  /// for runs as `preparation` says; nil: each at its first use.
  ///
  /// Throws what an operator throws on its attributes and constants, naming the node.
  package convenience init(
    _ graph: Graph, preparing preparation: Preparation? = nil, progress: ProgressCallback? = nil
  ) throws(MartletError) {
    try self.init(graph, preparation, PreparedConstants(), progress)
  }

  private init(
    _ graph: Graph, _ preparation: Preparation?, _ prepared: PreparedConstants,
    _ progress: ProgressCallback?
  ) throws(MartletError) {
    try MemoryReserve.checkRoom(1024 * graph.nodes.count + 256 * graph.values.count)
    let graph = try Plan.aligned(graph)
    var nodes: [PreparedNode] = []
    var sources: [Source] = []
    var sourceOf = [Source](repeating: .absent, count: graph.values.count)
    var readersOf = [[Reader]](repeating: [], count: graph.values.count)
    var (constantBytes, mappedBytes) = (0, 0)
    // The constants that nodes read in a prepared form, and those that somebody reads as they are.
    var replaced: Set<ValueID> = []
    var read = Set(graph.outputs.map(\.value))
    var uses = graph.useCounts()
    var constantStorages: Set<ObjectIdentifier> = []
    for (index, id) in graph.inputs.enumerated() { sourceOf[id] = .input(index) }
    func source(_ id: ValueID) throws(MartletError) -> Source {
      if case .absent = sourceOf[id] {
        guard let constant = graph.values[id].constant else {
          throw MartletError(
            .invalidModel, "value '\(graph.values[id].name)' is read but nothing makes it",
            input: graph.values[id].name)
        }
        sourceOf[id] = .constant(constant)
        constantStorages.insert(ObjectIdentifier(constant.storage))
        let bytes = try Shape.byteCount(constant.shape, constant.dtype)
        constantBytes += bytes
        if constant.storage.isMappedFile { mappedBytes += bytes }
      }
      return sourceOf[id]
    }
    var outputOf: [ValueID: Int] = [:]
    for (index, output) in graph.outputs.enumerated() where outputOf[output.value] == nil {
      outputOf[output.value] = index
    }
    var results: [ValueID] = []
    for (index, node) in graph.nodes.enumerated() {
      try Progress.report("prepare", index, of: graph.nodes.count, to: progress)
      let operation = try graph.makeOperator(node, prepared: prepared)
      let unread = try Plan.prepare(node, operation, graph, preparation)
      let firstOperand = sources.count
      let captures = node.regions.flatMap { $0.captures.map(Optional.some) }
      for (position, input) in (node.inputs + captures).enumerated() {
        guard let input else {
          sources.append(.absent)
          continue
        }
        do throws(MartletError) { sources.append(try source(input)) } catch {
          throw error.at(node)
        }
        readersOf[input].append(Reader(node: index, position: position))
        if unread.contains(position) { replaced.insert(input) } else { read.insert(input) }
        uses[input] -= 1
        // At once: a whole model's pages beside what was made of them may be more than there is.
        if uses[input] == 0, replaced.contains(input), !read.contains(input) {
          graph.values[input].constant?.letGoOfPages()
        }
      }
      let firstResult = results.count
      for id in node.outputs {
        sourceOf[id] = .result(results.count)
        results.append(id)
      }
      var regions: [PreparedRegion] = []
      var firstCapture = node.inputs.count
      for region in node.regions {
        let end = firstCapture + region.captures.count
        do throws(MartletError) {
          regions.append(
            PreparedRegion(
              plan: try Plan(region.graph, preparation, prepared, nil),
              captures: firstCapture..<end))
        } catch {
          throw error.at(node)
        }
        firstCapture = end
        // What a branch gives may be a constant of its own.
        if let plan = regions.last?.plan { constantStorages.formUnion(plan.constantStorages) }
      }
      nodes.append(
        PreparedNode(
          operation: operation, operands: firstOperand..<sources.count,
          results: firstResult..<results.count,
          hasOutput: node.outputs.contains { outputOf[$0] != nil }, regions: regions,
          mayBeNarrow: node.inputs.contains { id in
            id.map { graph.values[$0].type.dtype?.isNarrow ?? true } ?? false
          }))
    }
    var outputSources: [Source] = []
    for (index, output) in graph.outputs.enumerated() {
      outputSources.append(try source(output.value))
      readersOf[output.value].append(Reader(node: -1, position: index))
    }
    self.graph = graph
    self.nodes = nodes
    self.sources = sources
    self.readers = results.map { readersOf[$0] }
    self.outputOf = results.map { outputOf[$0] ?? -1 }
    outputResults = results.enumerated().compactMap { index, id in
      outputOf[id].map { (result: index, output: $0) }
    }
    self.inputReaders = graph.inputs.map { readersOf[$0] }
    inputTypes = graph.inputs.map { id in
      graph.values[id].type.compound == nil ? graph.values[id].type.dtype : nil
    }
    (inputExtents, symbolCount) = Plan.inputExtents(graph)
    self.outputSources = outputSources
    self.constantStorages = constantStorages
    self.constantBytes = constantBytes
    self.mappedBytes = mappedBytes
    self.prepared = prepared
  }

  /// Prepares the node's constants; gives the inputs whose elements its runs do not read.
  private static func prepare(
    _ node: Node, _ operation: any Operator, _ graph: Graph, _ preparation: Preparation?
  ) throws(MartletError) -> [Int] {
    guard let preparation, let operation = operation as? any PreparingOperator else { return [] }
    do throws(MartletError) {
      return try operation.prepare(
        node.inputs.map { $0.map { graph.values[$0].type } }, preparation)
    } catch {
      throw error.at(node)
    }
  }

  /// The graph with aligned copies of the unaligned constants that need it: an unaligned weight that
  /// only operators read that take any address stays where it lies in the model's file.
  private static func aligned(_ source: Graph) throws(MartletError) -> Graph {
    var graph = source
    func align(_ id: ValueID) throws(MartletError) {
      guard let constant = graph.values[id].constant, !constant.isAligned else { return }
      graph.values[id].type.constant = try constant.copied()
    }
    for node in source.nodes {
      let takesAnyAddress = node.traits.anyAddressInputs
      for (slot, id) in node.inputs.enumerated() {
        if let id, !takesAnyAddress.contains(slot) { try align(id) }
      }
    }
    for output in source.outputs { try align(output.value) }
    return graph
  }
}
