import MartletCore
import MartletGraph
import MartletOperators

/// Parses the messages of a model. Nothing is copied but names and attributes.
enum ONNXParser {
  /// Graphs nested deeper than this (If within If …) are refused.
  private static let maximumDepth = Region.maximumDepth

  static func model(_ storage: Storage, source: String) throws(MartletError) -> ONNXModel {
    var reader = WireReader(storage, 0..<storage.byteCount, path: "")
    var model = ONNXModel()
    do throws(MartletError) {
      while let field = try reader.next() {
        switch field.number {
        case 1: model.irVersion = try reader.integer(field)
        case 2: model.producerName = try reader.string(field)
        case 3: model.producerVersion = try reader.string(field)
        case 4: model.domain = try reader.string(field)
        case 5: model.modelVersion = try reader.integer(field)
        case 6: model.documentation = try reader.text(field)
        case 7: model.graph = try graph(reader.message(field, "graph"), depth: 0)
        case 8: try opset(reader.message(field, "opset_import"), into: &model.opsets)
        case 14: model.properties.append(try pair(reader.message(field, "metadata_props")))
        case 25:
          let name = "functions[\(model.functions.count)]"
          model.functions.append(try function(reader.message(field, name)))
        default: try reader.skip(field)
        }
      }
    } catch {
      if model.graph == nil, error.code == .invalidModel,
        let foreign = ForeignFile.recognize(storage)
      {
        throw foreign.error(source, format: "ONNX")
      }
      var error = error
      let hint = model.graph == nil && model.irVersion == 0 ? "not an ONNX model, or damaged: " : ""
      error.message = "\(source): \(hint)\(error.message)"
      throw error
    }
    guard model.graph != nil else {
      if let foreign = ForeignFile.recognize(storage) {
        throw foreign.error(source, format: "ONNX")
      }
      throw MartletError(
        .invalidModel, "\(source): not an ONNX model: it has no graph", expected: "ModelProto.graph"
      )
    }
    return model
  }

  // MARK: - Graphs

  private static func graph(_ message: WireReader, depth: Int) throws(MartletError) -> ONNXGraph {
    var reader = message
    guard depth <= maximumDepth else {
      throw reader.error("graphs are nested deeper than \(maximumDepth)")
    }
    var graph = ONNXGraph()
    while let field = try reader.next() {
      switch field.number {
      case 1:
        let name = "node[\(graph.nodes.count)]"
        var item = try node(reader.message(field, name), depth: depth)
        item.offset = field.offset
        try makeRoom(after: graph.nodes.count)
        graph.nodes.append(item)
      case 2: graph.name = try reader.string(field)
      case 5:
        let name = "initializer[\(graph.initializers.count)]"
        try makeRoom(after: graph.initializers.count)
        graph.initializers.append(try tensor(reader.message(field, name)))
      case 11:
        graph.inputs.append(
          try valueInfo(reader.message(field, "input[\(graph.inputs.count)]")))
      case 12:
        graph.outputs.append(
          try valueInfo(reader.message(field, "output[\(graph.outputs.count)]")))
      case 13:
        graph.valueInfo.append(
          try valueInfo(reader.message(field, "value_info[\(graph.valueInfo.count)]")))
      case 15:
        graph.sparseInitializers.append(
          try sparseTensor(
            reader.message(field, "sparse_initializer[\(graph.sparseInitializers.count)]")))
      default: try reader.skip(field)
      }
    }
    return graph
  }

  /// Throws `outOfMemory` where a list of `count` nodes or initialisers, all whose room is taken, cannot
  /// grow.
  private static func makeRoom(after count: Int) throws(MartletError) {
    if count >= 4096, count & (count - 1) == 0 { try MemoryReserve.checkRoom(1024 * count) }
  }

  private static func node(_ message: WireReader, depth: Int) throws(MartletError) -> ONNXNode {
    var reader = message
    var node = ONNXNode()
    while let field = try reader.next() {
      switch field.number {
      case 1: node.inputs.append(try reader.string(field))
      case 2: node.outputs.append(try reader.string(field))
      case 3: node.name = try reader.string(field)
      case 4: node.operatorType = try reader.string(field)
      case 5:
        let name = "attribute[\(node.attributes.count)]"
        node.attributes.append(try attribute(reader.message(field, name), depth: depth))
      case 7: node.domain = try reader.string(field)
      case 8: node.overload = try reader.string(field)
      default: try reader.skip(field)
      }
    }
    guard !node.operatorType.isEmpty else { throw reader.error("the node has no op_type") }
    return node
  }

  private static func function(_ message: WireReader) throws(MartletError) -> ONNXFunction {
    var reader = message
    var function = ONNXFunction()
    while let field = try reader.next() {
      switch field.number {
      case 1: function.name = try reader.string(field)
      case 4: function.inputs.append(try reader.string(field))
      case 5: function.outputs.append(try reader.string(field))
      case 6: function.attributeNames.append(try reader.string(field))
      case 7:
        let name = "node[\(function.nodes.count)]"
        var item = try node(reader.message(field, name), depth: 0)
        item.offset = field.offset
        function.nodes.append(item)
      case 9: try opset(reader.message(field, "opset_import"), into: &function.opsets)
      case 10: function.domain = try reader.string(field)
      case 11:
        let name = "attribute_proto[\(function.attributeDefaults.count)]"
        function.attributeDefaults.append(try attribute(reader.message(field, name), depth: 0))
      case 13: function.overload = try reader.string(field)
      default: try reader.skip(field)
      }
    }
    return function
  }

  private static func attribute(_ message: WireReader, depth: Int) throws(MartletError)
    -> ONNXAttribute
  {
    var reader = message
    var attribute = ONNXAttribute()
    var declared = 0
    var (integer, float, text, tensorValue) = (0, Float(0), "", ONNXTensor?.none)
    var (integers, floats, texts) = ([Int](), [Float](), [String]())
    var graphValue: ONNXGraph?
    var sparseValue: ONNXSparseTensor?
    var typeValue: ONNXValueInfo.Kind?
    var seen: Set<Int> = []
    var reference = ""
    while let field = try reader.next() {
      seen.insert(field.number)
      switch field.number {
      case 1: attribute.name = try reader.string(field)
      case 2: float = try reader.float(field)
      case 3: integer = try reader.integer(field)
      case 4: text = try reader.text(field)
      case 5: tensorValue = try tensor(reader.message(field, "t"))
      case 6: graphValue = try graph(reader.message(field, "g"), depth: depth + 1)
      case 7: try reader.floats(field, into: &floats)
      case 8: try reader.integers(field, into: &integers)
      case 9: texts.append(try reader.text(field))
      case 14: typeValue = try type(reader.message(field, "tp"))
      case 20: declared = try reader.integer(field)
      case 21: reference = try reader.string(field)
      case 22: sparseValue = try sparseTensor(reader.message(field, "sparse_tensor"))
      default: try reader.skip(field)
      }
    }
    guard !attribute.name.isEmpty else { throw reader.error("the attribute has no name") }
    if !reference.isEmpty {
      attribute.value = .reference(reference)
      return attribute
    }
    // Files of IR version 1 do not say the type: it is that of the field which is there.
    let found = typeByField.first { seen.contains($0.field) }
    let type = declared != 0 ? declared : found?.type ?? 0
    switch type {
    case 1: attribute.value = .plain(.float(float))
    case 2: attribute.value = .plain(.int(integer))
    case 3: attribute.value = .plain(.string(text))
    case 4:
      guard let tensorValue else {
        throw reader.error("attribute '\(attribute.name)' is a tensor but holds none")
      }
      attribute.value = .tensor(tensorValue)
    case 5:
      guard let graphValue else {
        throw reader.error("attribute '\(attribute.name)' is a graph but holds none")
      }
      attribute.value = .graph(graphValue)
    case 6: attribute.value = .plain(.floats(floats))
    case 7: attribute.value = .plain(.ints(integers))
    case 8: attribute.value = .plain(.strings(texts))
    case 9: attribute.value = .unsupported("a list of tensors")
    case 10: attribute.value = .unsupported("a list of graphs")
    case 11:
      guard let sparseValue else {
        throw reader.error("attribute '\(attribute.name)' is a sparse tensor but holds none")
      }
      attribute.value = .sparse(sparseValue)
    case 12: attribute.value = .unsupported("a list of sparse tensors")
    case 13:
      guard let typeValue else {
        throw reader.error("attribute '\(attribute.name)' is a type but holds none")
      }
      attribute.value = .type(typeValue)
    case 14: attribute.value = .unsupported("a list of types")
    default:
      throw reader.error("attribute '\(attribute.name)' has unknown type \(type)")
    }
    return attribute
  }

  private static let typeByField: [(field: Int, type: Int)] = [
    (2, 1), (3, 2), (4, 3), (5, 4), (6, 5), (7, 6), (8, 7), (9, 8),
  ]

  // MARK: - Tensors and types

  static func tensor(_ message: WireReader) throws(MartletError) -> ONNXTensor {
    var reader = message
    var tensor = ONNXTensor()
    tensor.message = message.position..<message.end
    while let field = try reader.next() {
      switch field.number {
      case 1: try reader.integers(field, into: &tensor.dims)
      case 2: tensor.dataType = try reader.integer(field)
      case 3:
        tensor.isSegmented = true
        try reader.skip(field)
      case 4, 5, 6, 7, 10, 11:
        tensor.typedFields.insert(field.number)
        try reader.skip(field)
      case 8: tensor.name = try reader.string(field)
      case 9: tensor.raw = try reader.bytes(field)
      case 13: tensor.external.append(try pair(reader.message(field, "external_data")))
      case 14: tensor.isExternal = try reader.integer(field) == 1
      default: try reader.skip(field)
      }
    }
    tensor.path = tensor.name.isEmpty ? message.path : "\(message.path) '\(tensor.name)'"
    return tensor
  }

  private static func valueInfo(_ message: WireReader) throws(MartletError) -> ONNXValueInfo {
    var reader = message
    var info = ONNXValueInfo()
    while let field = try reader.next() {
      switch field.number {
      case 1: info.name = try reader.string(field)
      case 2: info.kind = try type(reader.message(field, "type"))
      default: try reader.skip(field)
      }
    }
    guard !info.name.isEmpty else { throw reader.error("the value has no name") }
    return info
  }

  private static func type(_ message: WireReader, depth: Int = 0) throws(MartletError)
    -> ONNXValueInfo.Kind
  {
    var reader = message
    guard depth <= Value.maximumDepth else {
      throw reader.error("types are nested deeper than \(Value.maximumDepth)")
    }
    /// The fields of a message that holds one type and perhaps a key.
    func inner(_ message: WireReader, typeField: Int) throws(MartletError) -> (
      kind: ONNXValueInfo.Kind, key: Int
    ) {
      var reader = message
      var (kind, key) = (ONNXValueInfo.Kind.missing, 0)
      while let field = try reader.next() {
        if field.number == typeField {
          kind = try type(reader.message(field, "elem_type"), depth: depth + 1)
        } else if field.number == 1 {
          key = try reader.integer(field)
        } else {
          try reader.skip(field)
        }
      }
      return (kind, key)
    }
    var kind = ONNXValueInfo.Kind.missing
    while let field = try reader.next() {
      switch field.number {
      case 1: kind = try tensorType(reader.message(field, "tensor_type"))
      case 4:
        kind = .sequence(try inner(reader.message(field, "sequence_type"), typeField: 1).kind)
      case 5:
        let map = try inner(reader.message(field, "map_type"), typeField: 2)
        kind = .map(keyType: map.key, map.kind)
      case 9:
        kind = .optional(try inner(reader.message(field, "optional_type"), typeField: 1).kind)
      case 7, 8:
        kind = .unsupported(field.number == 7 ? "opaque value" : "sparse tensor")
        try reader.skip(field)
      default: try reader.skip(field)
      }
    }
    return kind
  }

  private static func tensorType(_ message: WireReader) throws(MartletError)
    -> ONNXValueInfo.Kind
  {
    var reader = message
    var dataType = 0
    var shape: [Dimension]?
    while let field = try reader.next() {
      switch field.number {
      case 1: dataType = try reader.integer(field)
      case 2: shape = try tensorShape(reader.message(field, "shape"))
      default: try reader.skip(field)
      }
    }
    return .tensor(dataType: dataType, shape: shape)
  }

  private static func tensorShape(_ message: WireReader) throws(MartletError) -> [Dimension] {
    var reader = message
    var shape: [Dimension] = []
    while let field = try reader.next() {
      guard field.number == 1 else {
        try reader.skip(field)
        continue
      }
      guard shape.count < Shape.maximumRank else {
        throw reader.error("the shape has more than \(Shape.maximumRank) dimensions")
      }
      var dimension = Dimension.unknown
      var axis = try reader.message(field, "dim[\(shape.count)]")
      while let field = try axis.next() {
        switch field.number {
        case 1:
          let value = try axis.integer(field)
          // Some exporters write 0 or -1 for an extent that is free.
          dimension = value > 0 ? .known(value) : .unknown
        case 2:
          let name = try axis.string(field)
          // "?" stands for any extent, not for one that is equal wherever it occurs.
          dimension = name.isEmpty || name == "?" ? .unknown : .symbol(name)
        default: try axis.skip(field)
        }
      }
      shape.append(dimension)
    }
    return shape
  }

  private static func sparseTensor(_ message: WireReader) throws(MartletError) -> ONNXSparseTensor {
    var reader = message
    var sparse = ONNXSparseTensor()
    while let field = try reader.next() {
      switch field.number {
      case 1: sparse.values = try tensor(reader.message(field, "values"))
      case 2: sparse.indices = try tensor(reader.message(field, "indices"))
      case 3: try reader.integers(field, into: &sparse.dims)
      default: try reader.skip(field)
      }
    }
    sparse.path = sparse.name.isEmpty ? message.path : "\(message.path) '\(sparse.name)'"
    return sparse
  }

  private static func opset(_ message: WireReader, into opsets: inout [String: Int])
    throws(MartletError)
  {
    var reader = message
    var (domain, version) = ("", 0)
    while let field = try reader.next() {
      switch field.number {
      case 1: domain = try reader.string(field)
      case 2: version = try reader.integer(field)
      default: try reader.skip(field)
      }
    }
    opsets[domain == "ai.onnx" ? "" : domain] = version
  }

  private static func pair(_ message: WireReader) throws(MartletError) -> (
    key: String, value: String
  ) {
    var reader = message
    var pair = (key: "", value: "")
    while let field = try reader.next() {
      switch field.number {
      case 1: pair.key = try reader.text(field)
      case 2: pair.value = try reader.text(field)
      default: try reader.skip(field)
      }
    }
    return pair
  }
}
