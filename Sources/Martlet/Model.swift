import MartletBackends
import MartletCore
import MartletGraph
import MartletOperators
import MartletRuntime

/// A trained model, loaded once and run by any number of threads.
///
///     setFloat32FastMathMode(.bf16)
///     let model = try Model(path: "model.onnx")
///     let outputs = try model.run(["x": Tensor(pixels, shape: [1, 3, 224, 224])])
public final class Model: Sendable {
  /// An input or output.
  public struct Port: Sendable {
    public let name: String
    /// nil when the model does not say.
    public let dtype: DType?
    /// Extents as text: a number, a name, or `?`; nil when not even the rank is known.
    public let shape: [String]?
  }

  /// What a node's matrix work ran as.
  public struct PrecisionRow: Sendable {
    public let node: String
    public let operatorName: String
    /// `fp32`, `bf16`, ….
    public let precision: String
    public let kernel: String
    /// Why not the mode's own precision; empty when it is.
    public let reason: String
  }

  private let model: MartletRuntime.Model
  private let sessionsAtRest: SessionsAtRest

  /// Loads an ONNX file, mapping its weights.
  ///
  /// `mode` goes before the scope's, the process's and the environment's. A run ends with
  /// `limitExceeded` where all its loops together have made `maximumLoopIterations`, where it would
  /// hold more than `maximumMemoryBytes` of results and scratch, or before the next node where it has
  /// taken `maximumMilliseconds`; 0: no limit. `flushesDenormals`: denormal numbers are taken for zero.
  /// With `strictShapes`, extents of inputs that have one name in the file must be equal in a run, and an
  /// input that is declared without extents a scalar; without, the first run that makes use of it takes
  /// as long as loading.
  /// Throws `io`, `invalidModel`, `unsupported`, and `invalidArgument` for a negative limit.
  public init(
    path: String, mode: MathMode? = nil, maximumLoopIterations: Int = 0,
    maximumMemoryBytes: Int = 0, maximumMilliseconds: Int = 0, flushesDenormals: Bool = false,
    strictShapes: Bool = false
  ) throws(MartletError) {
    for (name, limit) in [
      ("maximumLoopIterations", maximumLoopIterations), ("maximumMemoryBytes", maximumMemoryBytes),
      ("maximumMilliseconds", maximumMilliseconds),
    ] where limit < 0 {
      throw MartletError(
        .invalidArgument, "\(name) is \(limit)", input: name, expected: "0 or more",
        actual: "\(limit)")
    }
    var options = MartletRuntime.Model.Options()
    options.run.mode = mode
    options.run.maximumLoopIterations = maximumLoopIterations
    options.run.maximumMemoryBytes = maximumMemoryBytes
    options.run.maximumMilliseconds = maximumMilliseconds
    options.run.flushesDenormals = flushesDenormals
    options.hasStrictShapes = strictShapes
    model = try FloatingPointEnvironment.own { () throws(MartletError) in
      try MartletRuntime.Model.load(path: path, options: options)
    }
    sessionsAtRest = SessionsAtRest(of: model)
  }

  public var inputs: [Port] { model.inputs.map(Model.port) }
  public var outputs: [Port] { model.outputs.map(Model.port) }
  /// Initialisers that are inputs too: `run` takes other values for them.
  public var replaceable: [Port] { model.replaceable.map(Model.port) }

  /// Bytes that the model takes.
  public struct Memory: Sendable {
    /// Of its constants, and of those of them that lie in the mapped file.
    public let constants: Int
    public let mapped: Int
    /// Of what was made of constants: what runs read in their place.
    public let prepared: Int
    /// Of the arena of the context that ran last, and the most that its run had in use; 0 before the
    /// first run.
    public let arena: Int
    public let peak: Int
  }

  public var memory: Memory {
    let memory = model.memory
    return Memory(
      constants: memory.constants, mapped: memory.mapped, prepared: memory.prepared,
      arena: memory.arena, peak: memory.peak)
  }

  /// Bytes that the results of a run with inputs of these shapes will take at once, outputs included but
  /// without the scratch of single nodes; nil where that depends on data.
  ///
  /// Nothing is run. Throws `notFound` for a missing input, `invalidShape`.
  public func resultBytes(_ shapes: [String: [Int]]) throws(MartletError) -> Int? {
    var ordered: [[Int]] = []
    for port in model.inputs {
      guard let shape = shapes[port.name] else {
        throw MartletError(
          .notFound, "the shape of input '\(port.name)' is missing", input: port.name)
      }
      ordered.append(shape)
    }
    return try FloatingPointEnvironment.own { () throws(MartletError) in
      try model.resultBytes(ordered)
    }
  }

  /// Computes all outputs, by name, from inputs by name, and from other values for initialisers of
  /// `replaceable`: the first run with a set of those takes as long as loading.
  ///
  /// Throws errors that name the input or node, with what was expected and what came.
  public func run(_ inputs: [String: Tensor]) throws(MartletError) -> [String: Tensor] {
    try runReporting(inputs).outputs
  }

  /// As `run`, and tells what each node's matrix work ran as.
  public func runReporting(
    _ inputs: [String: Tensor]
  ) throws(MartletError) -> (outputs: [String: Tensor], precisionReport: [PrecisionRow]) {
    try sessionsAtRest.withSession { session throws(MartletError) in
      let results = try FloatingPointEnvironment.own { () throws(MartletError) in
        try session.run(inputs.mapValues(\.core))
      }
      var named: [String: Tensor] = [:]
      for (port, result) in zip(model.outputs, results) { named[port.name] = Tensor(result) }
      let report = session.precisionReport().map {
        PrecisionRow(
          node: $0.node, operatorName: $0.operatorName, precision: $0.precision, kernel: $0.kernel,
          reason: $0.reason)
      }
      return (named, report)
    }
  }

  private static func port(_ port: MartletRuntime.Model.Port) -> Port {
    Port(name: port.name, dtype: port.dtype, shape: port.shape?.map { $0.description })
  }
}
