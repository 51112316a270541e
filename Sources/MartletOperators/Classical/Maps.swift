import MartletBackends
import MartletCore

/// A map from labels to scores for each row of X: [N, C] to a sequence of N maps of scalars.
/// Source: ONNX ZipMap-1 (ai.onnx.ml).
package struct ZipMap: Operator {
  package static let schema = OperatorSchema(
    name: "ZipMap", domain: OperatorID.machineLearningDomain, inputs: ["X"], outputs: ["Z"],
    attributes: [
      "classlabels_int64s": "the keys of the columns", "classlabels_strings": "or these",
    ])
  private let labels: ClassLabels

  package init(_ node: OperatorNode) throws(MartletError) {
    labels = try ClassLabels(
      node.attributes, integers: "classlabels_int64s", strings: "classlabels_strings")
  }

  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    let value = ValueKind.tensor(.float32, [])
    return [ValueType(.sequence(of: .map(key: labels.dtype, value: value)))]
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    let given = try inputs.required(0, like: .float32)
    let x = try FeatureRows(given, as: .float32, inputs, context)
    try x.check(width: labels.count, inputs)
    try ValueSequence.checkRoom(x.tensor.count, Self.schema.name, context)
    // All scores of the maps are views of this.
    let scores = try context.memory.copy(x.tensor)
    let keys = try labels.tensor(context)
    let layout = TensorLayout(contiguous: [])
    var maps: [Value] = []
    maps.reserveCapacity(x.rows)
    for row in 0..<x.rows {
      var values: [Value] = []
      values.reserveCapacity(x.width)
      for column in 0..<x.width {
        values.append(
          .tensor(
            Tensor(
              unchecked: scores.storage, dtype: .float32, layout: layout,
              byteOffset: scores.byteOffset + 4 * (row * x.width + column))))
      }
      maps.append(.map(ValueMap(keys: keys, values: values)))
    }
    context.deliver(try context.memory.sequence(maps, dtype: nil))
  }
}

/// The values of a map in the order of a vocabulary, [1, vocabulary]; 0, or the empty string, of what the
/// map lacks. What the vocabulary lacks is left out. Source: ONNX DictVectorizer-1 (ai.onnx.ml).
package struct DictVectorizer: Operator {
  package static let schema = OperatorSchema(
    name: "DictVectorizer", domain: OperatorID.machineLearningDomain, inputs: ["X"],
    outputs: ["Y"],
    attributes: [
      "int64_vocabulary": "the keys of the columns", "string_vocabulary": "or these",
    ], traits: [.anyElement, .anyKind])
  private let vocabulary: KeyTable

  package init(_ node: OperatorNode) throws(MartletError) {
    vocabulary = try KeyTable(
      node.attributes, integers: "int64_vocabulary", texts: "string_vocabulary")
  }

  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    [
      ValueType(
        dtype: try inputs.mapValue(0, key: vocabulary.dtype, Self.schema),
        shape: [.known(1), .known(vocabulary.count)])
    ]
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    let map = try inputs.map(0, key: vocabulary.dtype)
    let dtype = map.values.first?.tensor?.dtype ?? .float32
    let keys = try vocabulary.places(map.keys, Self.schema.name, context)
    let output = try context.output(0, dtype, [1, vocabulary.count])
    var texts = [Text?](repeating: nil, count: dtype == .string ? vocabulary.count : 0)
    if dtype != .string {
      output.pointer.initializeMemory(as: UInt8.self, repeating: 0, count: output.byteCount)
    }
    for (index, value) in map.values.enumerated() where keys[index] >= 0 {
      let scalar = try Inputs.scalar(value, dtype, Self.schema.name)
      let place = Int(keys[index])
      if dtype == .string {
        texts[place] = scalar.text(at: 0)
      } else {
        let size = dtype.wholeByteCount
        (output.pointer + place * size).copyMemory(from: scalar.pointer, byteCount: size)
      }
    }
    if dtype == .string { output.setTexts(texts) }
    context.deliver(output)
  }
}

/// The values of a map by ascending integer keys, [1, count]; with SPARSE each at its key, [1, max_map].
/// Source: ONNX CastMap-1 (ai.onnx.ml).
package struct CastMap: Operator {
  package static let schema = OperatorSchema(
    name: "CastMap", domain: OperatorID.machineLearningDomain, inputs: ["X"], outputs: ["Y"],
    attributes: [
      "cast_to": "TO_FLOAT, TO_STRING or TO_INT64; TO_FLOAT", "map_form": "DENSE or SPARSE; DENSE",
      "max_map": "the columns of SPARSE, 1",
    ], traits: [.anyElement, .anyKind])
  private let target: DType
  /// nil: as many as the map has values.
  private let columns: Int?

  package init(_ node: OperatorNode) throws(MartletError) {
    let name = try node.attributes.string("cast_to", default: "TO_FLOAT")
    let form = try node.attributes.string("map_form", default: "DENSE")
    let targets: [String: DType] = ["TO_FLOAT": .float32, "TO_STRING": .string, "TO_INT64": .int64]
    let columns = try node.attributes.int("max_map", default: 1)
    guard let target = targets[name], form == "DENSE" || form == "SPARSE", columns > 0 else {
      throw MartletError(
        .invalidArgument,
        "\(Self.schema.name): cast_to is '\(name)', map_form '\(form)', max_map \(columns)",
        operatorName: Self.schema.name, input: "cast_to",
        expected: "TO_FLOAT, TO_STRING or TO_INT64; DENSE or SPARSE; 1 or more", actual: name)
    }
    self.target = target
    self.columns = form == "SPARSE" ? columns : nil
  }

  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    _ = try inputs.mapValue(0, key: .int64, Self.schema)
    return [ValueType(dtype: target, shape: [.known(1), columns.map { .known($0) } ?? .unknown])]
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    let map = try inputs.map(0, key: .int64)
    let keys = SmallTensors.integers(map.keys)
    try context.checkRoom(keys.count, Self.schema.name)
    var order = Array(keys.indices)
    order.sort { (keys[$0], $0) < (keys[$1], $1) }
    let values = try cast(order.map { map.values[$0] }, context)
    guard let columns else { return context.deliver(values) }
    let places = order.map { keys[$0] }
    if let place = places.first(where: { !(0..<columns).contains($0) }) {
      throw MartletError(
        .invalidArgument, "\(Self.schema.name): key \(place) is not below max_map, \(columns)",
        operatorName: Self.schema.name, input: "X", expected: "0..<\(columns)",
        actual: "\(place)")
    }
    let output = try context.output(0, target, [1, columns])
    if target == .string {
      try context.checkRoom(columns, Self.schema.name)
      var texts = [Text?](repeating: nil, count: columns)
      for (index, place) in places.enumerated() { texts[place] = values.text(at: index) }
      output.setTexts(texts)
    } else {
      let size = target.wholeByteCount
      output.pointer.initializeMemory(as: UInt8.self, repeating: 0, count: output.byteCount)
      for (index, place) in places.enumerated() {
        (output.pointer + place * size).copyMemory(
          from: values.pointer + index * size, byteCount: size)
      }
    }
    context.deliver(output)
  }

  /// The values in `target`, [1, count].
  private func cast(_ values: [Value], _ context: RunContext) throws(MartletError) -> Tensor {
    let dtype = values.first?.tensor?.dtype ?? .float32
    let laid = try context.scratch(dtype, [1, values.count])
    var texts: [Text?] = []
    for (place, value) in values.enumerated() {
      let scalar = try Inputs.scalar(value, dtype, Self.schema.name)
      if dtype == .string {
        texts.append(scalar.text(at: 0))
      } else {
        let size = dtype.wholeByteCount
        (laid.pointer + place * size).copyMemory(from: scalar.pointer, byteCount: size)
      }
    }
    if dtype == .string { laid.setTexts(texts) }
    // A sparse result has memory of its own: this may not take its place.
    let parts = RunContext(context.options, memory: context.memory)
    let read = try StringCast.bridged(laid, to: target, parts, Self.schema.name)
    return try parts.converted(read, to: target)
  }
}

extension Inputs {
  /// The map at `index`, whose keys must be of this type.
  fileprivate func map(_ index: Int, key: DType) throws(MartletError) -> ValueMap {
    guard case .map(let map)? = value(index), map.keys.dtype == key else {
      let actual = value(index).map { $0.kind.text } ?? "nothing"
      throw MartletError(
        .invalidArgument,
        "\(operatorName): input '\(name(index))' is \(actual), not a map with keys of \(key)",
        operatorName: operatorName, input: name(index), expected: "a map with keys of \(key)",
        actual: actual)
    }
    return map
  }

  /// A value of a map: a tensor of one element.
  fileprivate static func scalar(
    _ value: Value, _ dtype: DType, _ operatorName: String
  ) throws(MartletError) -> Tensor {
    guard let tensor = value.tensor, tensor.count == 1, tensor.dtype == dtype,
      FeatureRows.isTaken(dtype) || dtype == .string
    else {
      throw MartletError(
        .invalidArgument, "\(operatorName): a value of the map is \(value.summary)",
        operatorName: operatorName, input: "X", expected: "one \(dtype)", actual: value.summary)
    }
    return tensor
  }
}

extension [ValueType?] {
  /// The dtype of the values of the map at `index`, as far as it is known. Throws for what is no map.
  fileprivate func mapValue(
    _ index: Int, key: DType, _ schema: OperatorSchema
  ) throws(MartletError) -> DType? {
    guard let type = type(index), type.kind != .unknownTensor else { return nil }
    guard case .map(let own, let value) = type.kind, own == key else {
      throw MartletError(
        .invalidArgument,
        "\(schema.name): input '\(schema.inputName(index))' is \(type.text), not a map with keys of \(key)",
        operatorName: schema.name, input: schema.inputName(index),
        expected: "a map with keys of \(key)", actual: type.text)
    }
    guard case .tensor(let dtype, _) = value else { return nil }
    return dtype
  }
}
