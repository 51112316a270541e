import MartletCore
import MartletOperators

/// Constant becomes a constant of the graph, whichever of its attributes holds the value.
enum ConstantForms {
  static func convert(_ converter: inout ONNXConverter, _ node: ImportedNode) throws(MartletError) {
    let given = node.attributes.filter { $0.key.hasPrefix("value") || $0.key == "sparse_value" }
    guard given.count == 1, let (name, value) = given.first else {
      throw node.error(
        .invalidModel, "expected one value attribute, got \(given.count)", input: "value")
    }
    let id: Int
    switch (name, value) {
    case ("value", .tensor(let tensor)), ("sparse_value", .tensor(let tensor)):
      id = converter.constant(tensor, for: node)
    case ("value_float", .float(let number)):
      id = try converter.constant([number], shape: [], for: node)
    case ("value_floats", .floats(let numbers)): id = try converter.constant(numbers, for: node)
    case ("value_int", .int(let number)):
      let tensor = try Tensor(uninitialized: .int64, [])
      tensor.typed(Int64.self)[0] = Int64(number)
      id = converter.constant(tensor, for: node)
    case ("value_ints", .ints(let numbers)): id = try converter.constant(numbers, for: node)
    case ("value_string", .string(let text)):
      id = converter.constant(try Tensor(texts: [try Text(text)], []), for: node)
    case ("value_strings", .strings(let strings)):
      var texts: [Text?] = []
      for string in strings { texts.append(try Text(string)) }
      id = converter.constant(try Tensor(texts: texts, [texts.count]), for: node)
    default: throw node.error(.unsupported, "attribute '\(name)' is not supported", input: name)
    }
    if let output = node.outputs.first { converter.graph.values[id].name = output }
    converter.bind(node, to: id)
  }
}
