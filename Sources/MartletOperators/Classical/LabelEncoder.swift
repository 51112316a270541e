import MartletBackends
import MartletCore

/// Each element of X as the value of the key that it is, or the default where it is none.
///
/// Of equal keys the last counts; zeros of either sign are equal, and everything that is no number.
/// Source: ONNX LabelEncoder-4 (ai.onnx.ml).
package struct LabelEncoder: Operator {
  package static let schema = OperatorSchema(
    name: "LabelEncoder", domain: OperatorID.machineLearningDomain, inputs: ["X"], outputs: ["Y"],
    attributes: [
      "default_float": "of values_floats, -0.0", "default_int64": "of values_int64s, -1",
      "default_string": "of values_strings, _Unused",
      "default_tensor": "of values_tensor, as that of its type",
      "keys_floats": "the keys", "keys_int64s": "or these", "keys_strings": "or these",
      "keys_tensor": "or these", "values_floats": "the values of the keys",
      "values_int64s": "or these", "values_strings": "or these", "values_tensor": "or these",
    ], traits: [.anyElement])
  private let keys: KeyTable
  private let values: ValueTable

  package init(_ node: OperatorNode) throws(MartletError) {
    let attributes = node.attributes
    let keys = try LabelList.one(attributes, "keys")
    let values = try LabelList.one(attributes, "values")
    guard keys.count == values.count else {
      throw MartletError(
        .invalidArgument, "\(Self.schema.name): \(keys.count) keys have \(values.count) values",
        operatorName: Self.schema.name, input: "values", expected: "\(keys.count)",
        actual: "\(values.count)")
    }
    switch keys {
    case .integers(let list): self.keys = KeyTable(integers: list)
    case .floats(let list): self.keys = KeyTable(floats: list.map { Double($0) }, dtype: .float32)
    case .texts(let list): self.keys = KeyTable(texts: list)
    case .tensor(let tensor): self.keys = KeyTable(tensor)
    }
    self.values = try ValueTable(values, attributes)
  }

  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    [ValueType(dtype: values.dtype, shape: inputs.type(0)?.shape)]
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    let x = try inputs.required(0, like: keys.dtype)
    let places = try keys.places(x, Self.schema.name, context)
    context.deliver(try values.values(places, x.shape, Self.schema.name, context))
  }
}

/// Integers as strings, or strings as integers, by a list of both. Source: ONNX CategoryMapper-1
/// (ai.onnx.ml), and LabelEncoder-1, whose integers count from 0 on.
package struct CategoryMapper: Operator {
  package static let schema = OperatorSchema(
    name: "CategoryMapper", domain: OperatorID.machineLearningDomain, inputs: ["X"],
    outputs: ["Y"],
    attributes: [
      "cats_int64s": "the integers", "cats_strings": "the string of each",
      "default_int64": "of strings that are not among them, -1",
      "default_string": "of integers that are not among them, _Unused",
    ], traits: [.anyElement])
  private let integers: KeyTable
  private let texts: KeyTable
  private let toText: ValueTable
  private let toInteger: ValueTable

  package init(_ node: OperatorNode) throws(MartletError) {
    let attributes = node.attributes
    let strings = try ClassLabels.texts(try attributes.optionalStrings("cats_strings") ?? [])
    let numbers = (try attributes.optionalInts("cats_int64s") ?? []).map { Int64($0) }
    guard strings.count == numbers.count else {
      throw MartletError(
        .invalidArgument,
        "\(Self.schema.name): \(numbers.count) integers have \(strings.count) strings",
        operatorName: Self.schema.name, input: "cats_strings", expected: "\(numbers.count)",
        actual: "\(strings.count)")
    }
    integers = KeyTable(integers: numbers)
    texts = KeyTable(texts: strings)
    toText = try ValueTable(.texts(strings), attributes)
    toInteger = try ValueTable(.integers(numbers), attributes)
  }

  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    let dtype = inputs.type(0)?.dtype.map { $0 == .string ? DType.int64 : .string }
    return [ValueType(dtype: dtype, shape: inputs.type(0)?.shape)]
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    let x = try inputs.required(0, { $0 == .string || $0 == .int64 }, "string or int64")
    let isText = x.dtype == .string
    let places = try (isText ? texts : integers).places(x, Self.schema.name, context)
    let values = isText ? toInteger : toText
    context.deliver(try values.values(places, x.shape, Self.schema.name, context))
  }
}

/// Keys or values as attributes list them.
private enum LabelList {
  case integers([Int64])
  case floats([Float])
  case texts([Text?])
  case tensor(Tensor)

  var count: Int {
    switch self {
    case .integers(let list): list.count
    case .floats(let list): list.count
    case .texts(let list): list.count
    case .tensor(let tensor): tensor.count
    }
  }

  /// The one that there is of `role`_int64s, _floats, _strings and _tensor.
  static func one(_ attributes: Attributes, _ role: String) throws(MartletError) -> LabelList {
    var found: [LabelList] = []
    if let list = try attributes.optionalInts("\(role)_int64s"), !list.isEmpty {
      found.append(.integers(list.map { Int64($0) }))
    }
    if let list = try attributes.optionalFloats("\(role)_floats"), !list.isEmpty {
      found.append(.floats(list))
    }
    if let list = try attributes.optionalStrings("\(role)_strings"), !list.isEmpty {
      found.append(.texts(try ClassLabels.texts(list)))
    }
    if let tensor = try attributes.optionalTensor("\(role)_tensor") {
      let types: [DType] = [.float32, .float64, .int16, .int32, .int64, .string]
      guard types.contains(tensor.dtype), tensor.rank == 1 else {
        throw MartletError(
          .invalidArgument,
          "\(attributes.operatorName): \(role)_tensor is \(tensor.dtype)\(Shape.text(tensor.shape))",
          operatorName: attributes.operatorName, input: "\(role)_tensor",
          expected: "a vector of float32, float64, int16, int32, int64 or string",
          actual: "\(tensor.dtype)\(Shape.text(tensor.shape))")
      }
      found.append(.tensor(tensor))
    }
    guard found.count == 1 else {
      throw MartletError(
        .invalidArgument,
        "\(attributes.operatorName): expected one of \(role)_int64s, \(role)_floats, \(role)_strings and \(role)_tensor, got \(found.count)",
        operatorName: attributes.operatorName, input: "\(role)_int64s", expected: "one of them",
        actual: "\(found.count)")
    }
    return found[0]
  }
}

/// Values by their places, and the one for what has none, of one type.
private enum ValueTable: Sendable {
  case int16([Int16], Int16)
  case int32([Int32], Int32)
  case int64([Int64], Int64)
  case float32([Float], Float)
  case float64([Double], Double)
  case texts([Text?], Text?)

  init(_ list: LabelList, _ attributes: Attributes) throws(MartletError) {
    let fallback = try attributes.optionalTensor("default_tensor")
    switch list {
    case .integers(let values):
      self = .int64(values, Int64(try attributes.int("default_int64", default: -1)))
    case .floats(let values):
      self = .float32(values, try attributes.float("default_float", default: -0.0))
    case .texts(let values): self = .texts(values, try ValueTable.text(attributes))
    case .tensor(let tensor):
      if let fallback, fallback.dtype != tensor.dtype || fallback.count != 1 {
        throw MartletError(
          .invalidArgument,
          "\(attributes.operatorName): default_tensor is \(fallback.dtype)\(Shape.text(fallback.shape))",
          operatorName: attributes.operatorName, input: "default_tensor",
          expected: "one \(tensor.dtype), as values_tensor",
          actual: "\(fallback.dtype)\(Shape.text(fallback.shape))")
      }
      let integers = tensor.dtype.isInteger ? SmallTensors.integers(tensor) : []
      let integer = fallback.flatMap { SmallTensors.integers($0).first } ?? -1
      let doubles = tensor.dtype.isFloatingPoint ? SmallTensors.doubles(tensor) : []
      let double = fallback.flatMap { SmallTensors.doubles($0).first } ?? -0.0
      switch tensor.dtype {
      case .int16:
        self = .int16(
          integers.map { Int16(truncatingIfNeeded: $0) }, Int16(truncatingIfNeeded: integer))
      case .int32:
        self = .int32(
          integers.map { Int32(truncatingIfNeeded: $0) }, Int32(truncatingIfNeeded: integer))
      case .int64: self = .int64(integers.map { Int64($0) }, Int64(integer))
      case .float32: self = .float32(doubles.map { Float($0) }, Float(double))
      case .float64: self = .float64(doubles, double)
      default:
        let other = try ValueTable.text(attributes)
        self = .texts(tensor.texts, fallback.map { $0.texts.first ?? nil } ?? other)
      }
    }
  }

  private static func text(_ attributes: Attributes) throws(MartletError) -> Text? {
    let string = try attributes.string("default_string", default: "_Unused")
    return string.isEmpty ? nil : try Text(string)
  }

  var dtype: DType {
    switch self {
    case .int16: .int16
    case .int32: .int32
    case .int64: .int64
    case .float32: .float32
    case .float64: .float64
    case .texts: .string
    }
  }

  /// Output 0, of this shape: the values at these places.
  func values(
    _ places: UnsafePointer<Int64>, _ shape: [Int], _ operatorName: String, _ context: RunContext
  ) throws(MartletError) -> Tensor {
    let output = try context.output(0, dtype, shape)
    switch self {
    case .int16(let values, let other): ValueTable.write(values, other, places, output)
    case .int32(let values, let other): ValueTable.write(values, other, places, output)
    case .int64(let values, let other): ValueTable.write(values, other, places, output)
    case .float32(let values, let other): ValueTable.write(values, other, places, output)
    case .float64(let values, let other): ValueTable.write(values, other, places, output)
    case .texts(let values, let other):
      try context.checkRoom(output.count, operatorName)
      output.setTexts(
        (0..<output.count).map { places[$0] < 0 ? other : values[Int(places[$0])] })
    }
    return output
  }

  private static func write<T>(
    _ values: [T], _ other: T, _ places: UnsafePointer<Int64>, _ output: Tensor
  ) {
    let results = output.typed(T.self)
    for i in 0..<output.count { results[i] = places[i] < 0 ? other : values[Int(places[i])] }
  }
}
