import ArgumentParser
import MartletCore
import MartletGraph
import MartletOperators
import MartletRuntime

/// Inputs of a model that nobody gave, of made-up values.
struct MadeUpInputs {
  /// Extents by the model's symbols.
  private var extents: [String: Int] = [:]
  /// Whole shapes by inputs' names.
  private var shapes: [String: [Int]] = [:]
  /// Inputs some of whose extents nobody gave, with the shapes that they got.
  private(set) var guessed: [(name: String, declared: String, shape: [Int])] = []

  /// Parses `symbol=extent` and `input=2x3x4`.
  ///
  /// Throws `invalidArgument` for what is neither, and for names that the model does not have.
  init(_ arguments: [String], for model: Model) throws(MartletError) {
    var symbols: Set<String> = []
    for dimension in model.inputs.flatMap({ $0.shape ?? [] }) {
      if case .symbol(let name) = dimension { symbols.insert(name) }
    }
    for argument in arguments {
      let (name, numbers) = try MadeUpInputs.parsed(argument)
      if let port = model.inputs.first(where: { $0.name == name }), !symbols.contains(name) {
        if let rank = port.shape?.count, rank != numbers.count {
          throw MartletError(
            .invalidArgument,
            "input '\(name)' is \(port.kind.text), which has \(rank) axes; \(argument) gives \(numbers.count)",
            input: name, expected: "\(rank) extents", actual: "\(numbers.count)")
        }
        shapes[name] = numbers
      } else if symbols.contains(name), let extent = numbers.first, numbers.count == 1 {
        extents[name] = extent
      } else {
        let known = symbols.isEmpty ? "none" : symbols.sorted().joined(separator: ", ")
        let inputs = model.inputs.map(\.name).joined(separator: ", ")
        throw MartletError(
          .invalidArgument,
          "\(argument): no input has the symbol '\(name)'; the symbols are: \(known); the inputs, which take a shape as in 1x3x224x224, are: \(inputs)",
          expected: known, actual: name)
      }
    }
  }

  private static func parsed(_ argument: String) throws(MartletError) -> (String, [Int]) {
    guard let equals = argument.lastIndex(of: "=") else { throw malformed(argument) }
    var numbers: [Int] = []
    for part in argument[argument.index(after: equals)...].split(
      separator: "x", omittingEmptySubsequences: false)
    {
      guard let number = Int(part), number >= 0 else { throw malformed(argument) }
      numbers.append(number)
    }
    return (String(argument[..<equals]), numbers)
  }

  private static func malformed(_ argument: String) -> MartletError {
    MartletError(
      .invalidArgument,
      "expected symbol=extent or input=shape, as in batch=8 or x=1x3x224x224, got '\(argument)'",
      expected: "symbol=extent", actual: argument)
  }

  /// Fills the inputs that are not `given` with made-up values: floats are spread over -1...1, integers
  /// are small and positive, and 1 in masks. An extent that nobody gave is 1.
  mutating func complete(
    _ given: [String: Tensor], for model: Model
  ) throws(MartletError) -> [String: Tensor] {
    var inputs = given
    for port in model.inputs where given[port.name] == nil {
      guard let dtype = port.dtype, dtype != .string, let shape = shapes[port.name] ?? known(port)
      else {
        throw MartletError(
          .invalidArgument,
          "input '\(port.name)' is \(port.kind.text), which cannot be made up: give it with --input",
          input: port.name)
      }
      inputs[port.name] = try MadeUpInputs.madeUp(
        dtype, shape, isMask: port.name.contains("mask"))
    }
    return inputs
  }

  /// The shape that an input gets from the symbols' extents; nil where not even its rank is known.
  private mutating func known(_ port: Model.Port) -> [Int]? {
    guard let declared = port.shape else { return nil }
    var isGuessed = false
    let shape = declared.map { dimension in
      let extent: Int? =
        switch dimension {
        case .known(let value): value
        case .symbol(let name): extents[name]
        case .expression: dimension.evaluated { extents[$0] ?? 1 }
        case .unknown: nil
        }
      if extent == nil { isGuessed = true }
      return extent ?? 1
    }
    if isGuessed { guessed.append((port.name, port.kind.text, shape)) }
    return shape
  }

  /// `error` with what may be done about it, where a guess may be to blame.
  func explained(_ error: MartletError) -> MartletError {
    guard error.code == .invalidShape || error.code == .invalidArgument, !guessed.isEmpty else {
      return error
    }
    var error = error
    let guesses = guessed.map { name, declared, shape in
      "'\(name)', \(declared), was made up as \(Shape.text(shape))"
    }
    let example = guessed.first.map { name, _, shape in
      "\(name)=" + shape.map { $0 == 1 ? "N" : "\($0)" }.joined(separator: "x")
    }
    error.message =
      "\(error.description)\nmartlet: input \(guesses.joined(separator: ", ")): size it with \(example ?? ""), or give it with --input"
    error.node = nil
    return error
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
