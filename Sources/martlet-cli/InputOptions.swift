import ArgumentParser
import MartletCore
import MartletImport
import MartletOperators
import MartletRuntime

/// Where a model's inputs come from: files of arrays, and pictures.
struct InputOptions: ParsableArguments {
  @Option(
    name: .customLong("input"), parsing: .unconditionalSingleValue,
    help: ArgumentHelp(
      "An input from a file, once for each; - is standard input.",
      discussion: """
        .npy, .npz and numbers as text (.csv). One input needs no name; an .npz without one gives \
        the inputs that its arrays are named after.
        """, valueName: "name=file"))
  var inputs: [String] = []

  @Flag(help: "Refuse an input of another dtype than the model's, which is otherwise cast.")
  var noCast = false

  @OptionGroup(title: "Pictures") var pictures: PictureOptions

  /// All paths that are read.
  var arguments: [String] { inputs + pictures.images }

  /// Reads what was given, in the dtypes that the model takes; a cast is told on standard error.
  func read(for model: Model) throws(MartletError) -> [String: Tensor] {
    var read: [String: Tensor] = [:]
    func add(_ port: Model.Port, _ tensor: Tensor) throws(MartletError) {
      guard read[port.name] == nil else {
        throw MartletError(
          .invalidArgument, "input '\(port.name)' is given twice", input: port.name)
      }
      read[port.name] = try InputOptions.fitted(tensor, to: port, permitsCast: !noCast)
    }
    for argument in inputs {
      let (port, path) = try InputOptions.split(argument, for: model)
      for (port, tensor) in try InputOptions.read(path, for: port, of: model) {
        try add(port, tensor)
      }
    }
    var batches: [(port: Model.Port, pictures: [Tensor])] = []
    for argument in pictures.images {
      let (named, path) = try InputOptions.split(argument, for: model)
      let port = try InputOptions.chosen(named, model, argument)
      let picture = try pictures.read(path, for: port)
      if let index = batches.firstIndex(where: { $0.port.name == port.name }) {
        batches[index].pictures.append(picture)
      } else {
        batches.append((port, [picture]))
      }
    }
    for (port, parts) in batches { try add(port, try pictures.batch(parts, for: port)) }
    return read
  }

  /// Throws `invalidArgument` where inputs that a run needs were not given.
  func check(_ given: [String: Tensor], for model: Model) throws(MartletError) {
    let missing = model.inputs.filter { given[$0.name] == nil }
    guard let first = missing.first else { return }
    let list = missing.map { "'\($0.name)' is missing, \($0.kind.text)" }
    throw MartletError(
      .invalidArgument,
      "input \(list.joined(separator: "; ")): give it with --input \(first.name)=FILE",
      input: first.name, expected: first.kind.text, actual: "nothing")
  }

  /// The inputs that a file gives.
  private static func read(
    _ path: String, for port: Model.Port?, of model: Model
  ) throws(MartletError) -> [(Model.Port, Tensor)] {
    switch try TensorFile(path) {
    case .array(let tensor): return [(try chosen(port, model, path), tensor)]
    case .table(let table):
      let port = try chosen(port, model, path)
      return [(port, try table.tensor(port.dtype, port.shape))]
    case .arrays(let arrays):
      if port != nil || arrays.count == 1 && model.inputs.count == 1 {
        let port = try chosen(port, model, path)
        if arrays.count == 1 { return [(port, arrays[0].tensor)] }
        guard let array = arrays.first(where: { $0.name == port.name }) else {
          let names = arrays.map { "'\($0.name)'" }.joined(separator: ", ")
          throw MartletError(
            .invalidArgument, "\(path) has no array '\(port.name)'; its arrays are \(names)",
            input: port.name, expected: port.name, actual: names)
        }
        return [(port, array.tensor)]
      }
      var inputs: [(Model.Port, Tensor)] = []
      for (name, tensor) in arrays {
        guard
          let port = (model.inputs + model.replaceable).first(where: {
            $0.name == name || ResultFiles.fileName($0.name) == name
          })
        else { throw unknown(name, model) }
        inputs.append((port, tensor))
      }
      return inputs
    }
  }

  /// An argument's input, if it names one, and its path.
  private static func split(_ argument: String, for model: Model) throws(MartletError) -> (
    port: Model.Port?, path: String
  ) {
    // Names may contain '=' no more than file names do; the longest that fits is meant.
    let ports = (model.inputs + model.replaceable).filter { argument.hasPrefix($0.name + "=") }
    if let port = ports.max(by: { $0.name.utf8.count < $1.name.utf8.count }) {
      return (port, String(argument.dropFirst(port.name.count + 1)))
    }
    if let equals = argument.firstIndex(of: "=") {
      throw unknown(String(argument[..<equals]), model)
    }
    return (nil, argument)
  }

  /// The input that was named, or the only one.
  private static func chosen(
    _ port: Model.Port?, _ model: Model, _ argument: String
  ) throws(MartletError) -> Model.Port {
    if let port { return port }
    guard model.inputs.count == 1, let only = model.inputs.first else {
      throw MartletError(
        .invalidArgument,
        "\(argument): expected name=file, as the model has \(model.inputs.count) inputs: \(names(model))",
        expected: "name=file", actual: argument)
    }
    return only
  }

  private static func names(_ model: Model) -> String {
    model.inputs.map { "'\($0.name)'" }.joined(separator: ", ")
  }

  private static func unknown(_ name: String, _ model: Model) -> MartletError {
    MartletError(
      .invalidArgument, "the model has no input '\(name)'; its inputs are \(names(model))",
      input: name, expected: names(model), actual: name)
  }

  /// The tensor in the dtype that the model takes, with a warning where that is another.
  ///
  /// Throws `invalidDType` where it may not be cast, or strings stand against numbers.
  static func fitted(
    _ tensor: Tensor, to port: Model.Port, permitsCast: Bool
  ) throws(MartletError) -> Tensor {
    guard let dtype = port.dtype, dtype != tensor.dtype else { return tensor }
    guard permitsCast, dtype != .string, tensor.dtype != .string else {
      throw MartletError(
        .invalidDType, "input '\(port.name)' is \(tensor.dtype), the model takes \(dtype)",
        input: port.name, expected: "\(dtype)", actual: "\(tensor.dtype)")
    }
    let cast = try tensor.cast(to: dtype)
    let changed = try changes(tensor, cast)
    Console.warn(
      "input '\(port.name)' is \(tensor.dtype), the model takes \(dtype): it is cast, which changes "
        + (changed == 0 ? "no value" : "\(changed) of \(tensor.count) values"))
    return cast
  }

  /// How many elements a cast made others.
  private static func changes(_ tensor: Tensor, _ cast: Tensor) throws(MartletError) -> Int {
    let before = try Elements(tensor)
    let after = try Elements(try cast.cast(to: tensor.dtype))
    return (0..<tensor.count).count { before.differs(after, at: $0) }
  }
}
