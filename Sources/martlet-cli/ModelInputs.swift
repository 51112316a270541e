import ArgumentParser
import MartletCore
import MartletOperators
import MartletRuntime

/// The inputs of a run, read from `.npy` files or made up.
enum ModelInputs {
  /// Reads `name=file.npy` arguments; `file.npy` alone will do for a model with one input.
  static func read(_ arguments: [String], for model: Model) throws(MartletError) -> [String: Tensor]
  {
    var inputs: [String: Tensor] = [:]
    for argument in arguments {
      let (name, path) = try split(argument, for: model)
      guard inputs[name] == nil else {
        throw MartletError(.invalidArgument, "input '\(name)' is given twice", input: name)
      }
      inputs[name] = try NumPyFile.read(path)
    }
    return inputs
  }

  private static func split(_ argument: String, for model: Model) throws(MartletError) -> (
    name: String, path: String
  ) {
    // Names may contain '=' no more than file names do; the first one that ends a name counts.
    for port in model.inputs where argument.hasPrefix(port.name + "=") {
      return (port.name, String(argument.dropFirst(port.name.count + 1)))
    }
    if let equals = argument.firstIndex(of: "=") {
      let known = model.inputs.map { "'\($0.name)'" }.joined(separator: ", ")
      let name = String(argument[..<equals])
      throw MartletError(
        .invalidArgument, "the model has no input '\(name)'; its inputs are \(known)", input: name,
        expected: known, actual: name)
    }
    guard model.inputs.count == 1, let only = model.inputs.first else {
      throw MartletError(
        .invalidArgument,
        "--input \(argument): expected name=file.npy, as the model has \(model.inputs.count) inputs",
        expected: "name=file.npy", actual: argument)
    }
    return (only.name, argument)
  }

  /// Fills the inputs that are not `given` with made-up values of the shapes that `extents` of the
  /// model's symbols give; a symbol without one is 1. Floats are spread over -1...1; integers are
  /// small and positive, and 1 in masks.
  static func complete(
    _ given: [String: Tensor], for model: Model, extents: [String: Int]
  ) throws(MartletError) -> [String: Tensor] {
    try checkSymbols(extents, of: model)
    var inputs = given
    for port in model.inputs where given[port.name] == nil {
      guard let dtype = port.dtype, dtype != .string, let shape = port.shape else {
        throw MartletError(
          .invalidArgument,
          "input '\(port.name)' is \(port.kind.text), which cannot be made up: give it with --input",
          input: port.name)
      }
      var known: [Int] = []
      for dimension in shape {
        switch dimension {
        case .known(let value): known.append(value)
        case .symbol(let name): known.append(extents[name] ?? 1)
        case .expression: known.append(dimension.evaluated { extents[$0] ?? 1 } ?? 1)
        case .unknown: known.append(1)
        }
      }
      inputs[port.name] = try madeUp(dtype, known, isMask: port.name.contains("mask"))
    }
    return inputs
  }

  /// Parses `symbol=extent` arguments.
  static func extents(_ arguments: [String]) throws(MartletError) -> [String: Int] {
    var extents: [String: Int] = [:]
    for argument in arguments {
      guard let equals = argument.lastIndex(of: "="),
        let extent = Int(argument[argument.index(after: equals)...]), extent >= 0
      else {
        throw MartletError(
          .invalidArgument, "expected symbol=extent, got '\(argument)'",
          expected: "symbol=extent", actual: argument)
      }
      extents[String(argument[..<equals])] = extent
    }
    return extents
  }

  private static func checkSymbols(_ extents: [String: Int], of model: Model) throws(MartletError) {
    var symbols: Set<String> = []
    for dimension in model.inputs.flatMap({ $0.shape ?? [] }) {
      if case .symbol(let name) = dimension { symbols.insert(name) }
    }
    for name in extents.keys.sorted() where !symbols.contains(name) {
      let known = symbols.isEmpty ? "none" : symbols.sorted().joined(separator: ", ")
      throw MartletError(
        .invalidArgument, "no input has the symbol '\(name)'; the symbols are: \(known)",
        expected: known, actual: name)
    }
  }

  private static func madeUp(_ dtype: DType, _ shape: [Int], isMask: Bool) throws(MartletError)
    -> Tensor
  {
    let tensor = try Tensor(uninitialized: dtype, shape)
    var state: UInt64 = 0x9E37_79B9_7F4A_7C15
    for index in 0..<tensor.count {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      let random = state >> 33
      let real = Float(random % 2001) / 1000 - 1
      let whole = isMask ? 1 : random % 97 + 1
      switch dtype {
      case .float32: tensor.typed(Float.self)[index] = real
      case .float64: tensor.typed(Double.self)[index] = Double(real)
      case .bfloat16: tensor.typed(UInt16.self)[index] = UInt16(real.bitPattern >> 16)
      // Halves between 1 and 2: any bits under this exponent.
      case .float16: tensor.typed(UInt16.self)[index] = 0x3C00 | UInt16(random & 0x3FF)
      case .int8, .uint8: tensor.typed(UInt8.self)[index] = UInt8(whole)
      case .int16, .uint16: tensor.typed(UInt16.self)[index] = UInt16(whole)
      case .int32, .uint32: tensor.typed(UInt32.self)[index] = UInt32(whole)
      case .int64, .uint64: tensor.typed(UInt64.self)[index] = whole
      case .bool: tensor.typed(UInt8.self)[index] = isMask ? 1 : UInt8(random & 1)
      case .string: break
      // Bytes of finite, positive floats; packed elements lie in the first of them.
      default:
        if index < tensor.byteCount { tensor.typed(UInt8.self)[index] = 0x30 | UInt8(random & 7) }
      }
    }
    return tensor
  }
}
