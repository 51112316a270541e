import MartletCore

/// The value of a node's attribute.
package enum AttributeValue: Sendable {
  case int(Int)
  case float(Float)
  case string(String)
  case ints([Int])
  case floats([Float])
  case strings([String])
  case tensor(Tensor)
  case type(ValueKind)
}

/// A node's attributes by name, with typed look-ups that throw errors naming operator and attribute.
package struct Attributes: Sendable {
  package var values: [String: AttributeValue]
  package let operatorName: String

  package init(_ values: [String: AttributeValue] = [:], operatorName: String) {
    self.values = values
    self.operatorName = operatorName
  }

  package func contains(_ name: String) -> Bool { values[name] != nil }

  package func int(_ name: String, default fallback: Int) throws(MartletError) -> Int {
    try optionalInt(name) ?? fallback
  }

  package func optionalInt(_ name: String) throws(MartletError) -> Int? {
    switch values[name] {
    case nil: nil
    case .int(let value): value
    default: throw wrongType(name, expected: "an integer")
    }
  }

  package func bool(_ name: String, default fallback: Bool) throws(MartletError) -> Bool {
    try optionalInt(name).map { $0 != 0 } ?? fallback
  }

  package func float(_ name: String, default fallback: Float) throws(MartletError) -> Float {
    try optionalFloat(name) ?? fallback
  }

  package func optionalFloat(_ name: String) throws(MartletError) -> Float? {
    switch values[name] {
    case nil: nil
    case .float(let value): value
    case .int(let value): Float(value)
    default: throw wrongType(name, expected: "a number")
    }
  }

  package func string(_ name: String, default fallback: String) throws(MartletError) -> String {
    switch values[name] {
    case nil: fallback
    case .string(let value): value
    default: throw wrongType(name, expected: "a string")
    }
  }

  package func optionalInts(_ name: String) throws(MartletError) -> [Int]? {
    switch values[name] {
    case nil: nil
    case .ints(let value): value
    case .int(let value): [value]
    default: throw wrongType(name, expected: "a list of integers")
    }
  }

  package func optionalFloats(_ name: String) throws(MartletError) -> [Float]? {
    switch values[name] {
    case nil: nil
    case .floats(let value): value
    case .float(let value): [value]
    default: throw wrongType(name, expected: "a list of numbers")
    }
  }

  package func optionalTensor(_ name: String) throws(MartletError) -> Tensor? {
    switch values[name] {
    case nil: nil
    case .tensor(let value): value
    default: throw wrongType(name, expected: "a tensor")
    }
  }

  package func optionalType(_ name: String) throws(MartletError) -> ValueKind? {
    switch values[name] {
    case nil: nil
    case .type(let value): value
    default: throw wrongType(name, expected: "a type")
    }
  }

  package func optionalStrings(_ name: String) throws(MartletError) -> [String]? {
    switch values[name] {
    case nil: nil
    case .strings(let values): values
    case .string(let value): [value]
    default: throw wrongType(name, expected: "a list of strings")
    }
  }

  private func wrongType(_ name: String, expected: String) -> MartletError {
    MartletError(
      .invalidArgument, "\(operatorName): attribute '\(name)' must be \(expected)",
      operatorName: operatorName, input: name, expected: expected)
  }
}
