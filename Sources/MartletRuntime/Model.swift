import MartletCore
import MartletGraph
import MartletImport
import MartletOperators

/// A model that was loaded and made ready to run: immutable, shared between threads.
///
///     let model = try Model.load(path: "model.onnx")
///     let session = model.makeRun()
///     let results = try session.run(["x": tensor])
package final class Model: Sendable {
  /// How to load and run a model.
  package struct Options: Sendable {
    /// How its runs are done unless they say otherwise.
    package var run = RunOptions()
    /// 0 runs the graph as it is in the file, 1 (the default) after all lossless passes.
    package var optimizationLevel = 1
    /// Whether constants are brought into the form that runs read when the first run needs them, and
    /// not while the model is loaded.
    package var preparesAtFirstRun = false
    /// Names of passes to leave out (see `PassTable`).
    package var disabledPasses: Set<String> = []

    package init() {}
  }

  /// An input or output.
  package struct Port: Sendable, Equatable {
    package let name: String
    /// nil for an output whose dtype does not follow from the graph.
    package let dtype: DType?
    /// nil: not even the rank is known.
    package let shape: [Dimension]?
    /// What it is, of a tensor dtype and shape again.
    package let kind: ValueKind

    init(_ name: String, _ type: ValueType) {
      self.name = name
      (dtype, shape, kind) = (type.dtype, type.shape, type.kind)
    }
  }

  package let inputs: [Port]
  package let outputs: [Port]
  package let inputNames: PortNames
  package let outputNames: PortNames
  package let metadata: ModelMetadata
  package let options: Options
  /// The graph that runs, after the passes.
  package let graph: Graph
  /// What each pass did, in order.
  package let passReport: [PassReport]
  let plan: Plan

  /// Loads a model file, mapping it into memory; weights are not copied.
  ///
  /// The file must not be truncated or overwritten in place while the model lives.
  /// Throws `io` when the file cannot be read, `invalidModel` when it is malformed (naming field,
  /// byte and node), `unsupported` for operators or types that Martlet lacks (all of them at once),
  /// `cancelled`.
  package static func load(
    path: String, options: Options = Options(), progress: ProgressCallback? = nil
  ) throws(MartletError) -> Model {
    try Model(try ModelSource(path: path), options: options, progress: progress)
  }

  /// Loads a model from bytes: they are copied, or `borrowed` if they outlive the model unchanged.
  package static func load(
    bytes: UnsafeRawBufferPointer, borrowed: Bool = false, options: Options = Options(),
    progress: ProgressCallback? = nil
  ) throws(MartletError) -> Model {
    try Model(
      try ModelSource(bytes: bytes, borrowed: borrowed), options: options, progress: progress)
  }

  private convenience init(
    _ source: ModelSource, options: Options, progress: ProgressCallback?
  ) throws(MartletError) {
    let (graph, metadata) = try ModelFormat.of(source).read(source, progress)
    try self.init(graph, metadata: metadata, options: options, progress: progress)
  }

  /// Makes a graph ready to run.
  package init(
    _ source: Graph, metadata: ModelMetadata = ModelMetadata(), options: Options = Options(),
    progress: ProgressCallback? = nil
  ) throws(MartletError) {
    var graph = source
    if graph.inferenceBudget == nil { graph.shareInferenceBudget() }
    try graph.sortTopologically()
    passReport = try PassTable.optimize(
      &graph, level: options.optimizationLevel, disabled: options.disabledPasses,
      progress: progress)
    plan = try Plan(
      graph, preparing: options.preparesAtFirstRun ? nil : Preparation(options.run),
      progress: progress)
    self.graph = graph
    self.metadata = metadata
    self.options = options
    inputs = graph.inputs.map { id in
      let value = graph.values[id]
      return Port(value.name, value.type)
    }
    outputs = graph.outputs.map { output in
      let type = graph.values[output.value].type.completed(by: output.declared)
      guard let shape = type.shape else { return Port(output.name, type) }
      return Port(
        output.name,
        ValueType(dtype: type.dtype, shape: Model.named(shape, by: output.declared.shape)))
    }
    inputNames = PortNames(inputs.map(\.name), "input")
    outputNames = PortNames(outputs.map(\.name), "output")
  }

  /// The extents, with the file's name for one that is computed from others.
  private static func named(_ shape: [Dimension], by declared: [Dimension]?) -> [Dimension] {
    guard let declared, declared.count == shape.count else { return shape }
    return zip(shape, declared).map { computed, name in
      if case .expression = computed, case .symbol = name { name } else { computed }
    }
  }

  /// Bytes of the constants, of what was made of them, and of the last run.
  package var memory: ModelMemory { plan.memory }

  /// See `Plan.resultBytes`; shapes are in the inputs' order.
  package func resultBytes(_ shapes: [[Int]]) throws(MartletError) -> Int? {
    try plan.resultBytes(shapes)
  }

  /// Throws `outOfMemory` where there is no room for what a run context keeps of each node.
  package func checkRoomForRun() throws(MartletError) {
    try MemoryReserve.checkRoom(1024 * graph.nodeCount)
  }

  /// A run context: one per thread at a time. It keeps the model alive.
  package func makeRun() -> RunSession { RunSession(self) }
}
