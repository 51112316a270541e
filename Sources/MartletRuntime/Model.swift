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
    /// Whether extents of one name must be equal in a run, and an input that is declared without
    /// extents a scalar.
    package var hasStrictShapes = false

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
  /// Initialisers that are inputs too: a run may be given other values for them.
  package let replaceable: [Port]
  package let inputNames: PortNames
  package let outputNames: PortNames
  package let metadata: ModelMetadata
  package let options: Options
  /// The graph that runs, after the passes.
  package let graph: Graph
  /// What each pass did, in order.
  package let passReport: [PassReport]
  let plan: Plan
  /// nil: the model's own plan serves all runs.
  private let readings: ModelReadings?

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

  /// Loads a model from bytes, which errors call `name`: they are copied, or `borrowed` if they outlive the
  /// model unchanged.
  package static func load(
    bytes: UnsafeRawBufferPointer, borrowed: Bool = false, name: String = "model in memory",
    options: Options = Options(), progress: ProgressCallback? = nil
  ) throws(MartletError) -> Model {
    try Model(
      try ModelSource(bytes: bytes, borrowed: borrowed, name: name), options: options,
      progress: progress)
  }

  /// What a model's file holds, whether or not it can be run here.
  ///
  /// Throws `notFound`, `io`, and `invalidModel` where it cannot be parsed.
  package static func survey(path: String) throws(MartletError) -> ModelSurvey {
    let source = try ModelSource(path: path)
    return try ModelFormat.of(source).survey(source)
  }

  /// `survey` of bytes in memory.
  package static func survey(bytes: UnsafeRawBufferPointer) throws(MartletError) -> ModelSurvey {
    let source = try ModelSource(bytes: bytes, borrowed: false)
    return try ModelFormat.of(source).survey(source)
  }

  private convenience init(
    _ source: ModelSource, options: Options, progress: ProgressCallback?
  ) throws(MartletError) {
    let (graph, metadata) = try ModelFormat.of(source).read(source, ModelReading(), progress)
    let isServed = options.hasStrictShapes || !graph.canLoosenInputs
    try self.init(
      graph, metadata: metadata, options: options, progress: progress,
      readings: isServed && graph.replaceable.isEmpty ? nil : ModelReadings(source, options))
  }

  /// Makes a graph ready to run.
  package convenience init(
    _ source: Graph, metadata: ModelMetadata = ModelMetadata(), options: Options = Options(),
    progress: ProgressCallback? = nil
  ) throws(MartletError) {
    try self.init(
      source, metadata: metadata, options: options, progress: progress, readings: nil)
  }

  private init(
    _ source: Graph, metadata: ModelMetadata, options: Options, progress: ProgressCallback?,
    readings: ModelReadings?
  ) throws(MartletError) {
    let made = try Model.prepared(source, options, progress: progress)
    let graph = made.graph
    self.graph = graph
    plan = made.plan
    passReport = made.passReport
    self.readings = readings
    replaceable = graph.replaceable.map { Port($0.name, $0.type) }
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

  /// The graph after the passes, and its plan.
  static func prepared(
    _ source: Graph, _ options: Options, progress: ProgressCallback?
  ) throws(MartletError) -> (graph: Graph, plan: Plan, passReport: [PassReport]) {
    var graph = source
    if graph.inferenceBudget == nil { graph.shareInferenceBudget() }
    try graph.sortTopologically()
    let report = try PassTable.optimize(
      &graph, level: options.optimizationLevel, disabled: options.disabledPasses,
      progress: progress)
    let plan = try Plan(
      graph, preparing: options.preparesAtFirstRun ? nil : Preparation(options.run),
      progress: progress)
    return (graph, plan, report)
  }

  /// The plan for another reading of the model's file; throws what loading throws.
  func plan(_ reading: ModelReading) throws(MartletError) -> Plan {
    guard let readings else {
      throw MartletError(.internalError, "the model was not read from a file")
    }
    return try readings.plan(reading)
  }

  /// Whether `error` is of inputs' shapes and a looser reading might let them in.
  func mayLoosen(_ error: MartletError) -> Bool {
    guard error.code == .invalidShape, error.node == nil, let name = error.input, readings != nil,
      !options.hasStrictShapes
    else { return false }
    return inputs.contains { $0.name == name } || replaceable.contains { $0.name == name }
  }

  /// The extents, with the file's name for one that is computed from others.
  private static func named(_ shape: [Dimension], by declared: [Dimension]?) -> [Dimension] {
    guard let declared, declared.count == shape.count else { return shape }
    return zip(shape, declared).map { computed, name in
      if case .expression = computed, case .symbol = name { name } else { computed }
    }
  }

  /// Values by name as a run takes them: those of inputs in the model's order, and those of initialisers
  /// of `replaceable` by name.
  ///
  /// Throws what `PortNames.ordered` throws; `invalidArgument` for an initialiser that is given twice.
  package func ordered(
    _ values: [Value], named names: [String]
  ) throws(MartletError) -> (inputs: [Value], replacing: [String: Value]) {
    guard !replaceable.isEmpty, names != inputNames.all else {
      return (try inputNames.ordered(values, named: names), [:])
    }
    let known = Set(replaceable.map(\.name))
    var (given, givenNames) = ([Value](), [String]())
    var replacing: [String: Value] = [:]
    for (name, value) in zip(names, values) {
      guard known.contains(name) else {
        given.append(value)
        givenNames.append(name)
        continue
      }
      guard replacing.updateValue(value, forKey: name) == nil else {
        throw MartletError(
          .invalidArgument, "initialiser '\(name)' is given more than once", input: name,
          expected: "each initialiser once", actual: "'\(name)' again")
      }
    }
    return (try inputNames.ordered(given, named: givenNames), replacing)
  }

  /// Bytes of the constants, of what was made of them, and of the last run.
  package var memory: ModelMemory { plan.memory }

  /// See `Plan.resultBytes`; shapes are in the inputs' order.
  package func resultBytes(_ shapes: [[Int]]) throws(MartletError) -> Int? {
    do throws(MartletError) {
      return try plan.resultBytes(shapes)
    } catch {
      guard mayLoosen(error) else { throw error }
      try plan.checkShapes(shapes, loosely: true)
      var reading = ModelReading()
      reading.isLoose = true
      return try plan(reading).resultBytes(shapes)
    }
  }

  /// Throws `outOfMemory` where there is no room for what a run context keeps of each node.
  package func checkRoomForRun() throws(MartletError) {
    try MemoryReserve.checkRoom(1024 * graph.nodeCount)
  }

  /// A run context: one per thread at a time. It keeps the model alive.
  package func makeRun() -> RunSession { RunSession(self) }
}
