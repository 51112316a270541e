import MartletCore

/// A protobuf message under construction.
package struct Message {
  package private(set) var bytes: [UInt8] = []

  package static func varint(_ value: UInt64) -> [UInt8] {
    var (rest, bytes) = (value, [UInt8]())
    while rest >= 0x80 {
      bytes.append(UInt8(rest & 0x7F) | 0x80)
      rest >>= 7
    }
    return bytes + [UInt8(rest)]
  }

  package mutating func tag(_ number: Int, _ wireType: Int) {
    bytes += Message.varint(UInt64(number << 3 | wireType))
  }

  package mutating func integer(_ number: Int, _ value: Int) {
    tag(number, 0)
    bytes += Message.varint(UInt64(bitPattern: Int64(value)))
  }

  package mutating func float(_ number: Int, _ value: Float) {
    tag(number, 5)
    withUnsafeBytes(of: value.bitPattern.littleEndian) { bytes += $0 }
  }

  package mutating func raw(_ number: Int, _ payload: [UInt8]) {
    tag(number, 2)
    bytes += Message.varint(UInt64(payload.count)) + payload
  }

  package mutating func string(_ number: Int, _ text: String) { raw(number, Array(text.utf8)) }

  package mutating func message(_ number: Int, _ other: Message) { raw(number, other.bytes) }

  /// A packed list of varints.
  package mutating func integers(_ number: Int, _ values: [Int]) {
    raw(number, values.flatMap { Message.varint(UInt64(bitPattern: Int64($0))) })
  }

  package mutating func append(_ more: [UInt8]) { bytes += more }

  package static func build(_ body: (inout Message) -> Void) -> Message {
    var message = Message()
    body(&message)
    return message
  }
}

/// The bytes of values as they lie in memory.
package func rawBytes<T>(_ values: [T]) -> [UInt8] { values.withUnsafeBytes { Array($0) } }

/// Small ONNX models for the tests.
package enum ONNXEncoder {
  package enum Attribute {
    case int(Int)
    case float(Float)
    case string(String)
    case ints([Int])
    case floats([Float])
    case strings([String])
    case tensor(Message)
    case graph(Message)
  }

  package static func tensor(_ name: String, _ dtype: Int, _ dims: [Int], raw: [UInt8]) -> Message {
    Message.build {
      $0.integers(1, dims)
      $0.integer(2, dtype)
      $0.string(8, name)
      $0.raw(9, raw)
    }
  }

  package static func floats(_ name: String, _ dims: [Int], _ values: [Float]) -> Message {
    tensor(name, 1, dims, raw: rawBytes(values))
  }

  package static func int64s(_ name: String, _ dims: [Int], _ values: [Int64]) -> Message {
    tensor(name, 7, dims, raw: rawBytes(values))
  }

  package static func attribute(_ name: String, _ value: Attribute) -> Message {
    Message.build {
      $0.string(1, name)
      switch value {
      case .float(let number):
        $0.float(2, number)
        $0.integer(20, 1)
      case .int(let number):
        $0.integer(3, number)
        $0.integer(20, 2)
      case .string(let text):
        $0.string(4, text)
        $0.integer(20, 3)
      case .tensor(let tensor):
        $0.message(5, tensor)
        $0.integer(20, 4)
      case .graph(let graph):
        $0.message(6, graph)
        $0.integer(20, 5)
      case .floats(let numbers):
        for number in numbers { $0.float(7, number) }
        $0.integer(20, 6)
      case .ints(let numbers):
        $0.integers(8, numbers)
        $0.integer(20, 7)
      case .strings(let texts):
        for text in texts { $0.string(9, text) }
        $0.integer(20, 8)
      }
    }
  }

  package static func node(
    _ operatorType: String, _ inputs: [String], _ outputs: [String], name: String = "",
    domain: String = "", _ attributes: [(String, Attribute)] = []
  ) -> Message {
    Message.build {
      for input in inputs { $0.string(1, input) }
      for output in outputs { $0.string(2, output) }
      $0.string(3, name)
      $0.string(4, operatorType)
      for (key, value) in attributes { $0.message(5, attribute(key, value)) }
      if !domain.isEmpty { $0.string(7, domain) }
    }
  }

  /// A value of a tensor type; a dimension is a number, a name, or empty for "any".
  package static func value(_ name: String, _ dtype: Int = 1, _ dims: [String]? = []) -> Message {
    Message.build {
      $0.string(1, name)
      $0.message(
        2,
        Message.build {
          $0.message(
            1,
            Message.build {
              $0.integer(1, dtype)
              guard let dims else { return }
              $0.message(
                2,
                Message.build { shape in
                  for dim in dims {
                    shape.message(
                      1,
                      Message.build {
                        if let number = Int(dim) {
                          $0.integer(1, number)
                        } else if !dim.isEmpty {
                          $0.string(2, dim)
                        }
                      })
                  }
                })
            })
        })
    }
  }

  package static func graph(
    _ nodes: [Message], inputs: [Message] = [], outputs: [Message] = [],
    initializers: [Message] = [], sparseInitializers: [Message] = [], name: String = "test"
  ) -> Message {
    Message.build {
      for node in nodes { $0.message(1, node) }
      $0.string(2, name)
      for tensor in initializers { $0.message(5, tensor) }
      for input in inputs { $0.message(11, input) }
      for output in outputs { $0.message(12, output) }
      for tensor in sparseInitializers { $0.message(15, tensor) }
    }
  }

  package static func sparse(_ values: Message?, _ indices: Message?, _ dims: [Int]) -> Message {
    Message.build {
      if let values { $0.message(1, values) }
      if let indices { $0.message(2, indices) }
      $0.integers(3, dims)
    }
  }

  package static func model(
    _ graph: Message, opset: Int = 21, domains: [String] = [], version: Int = 1,
    functions: [Message] = []
  ) -> [UInt8] {
    Message.build {
      $0.integer(1, 8)
      $0.string(2, "martlet-tests")
      $0.message(7, graph)
      $0.message(8, Message.build { $0.integer(2, opset) })
      for domain in domains {
        $0.message(
          8,
          Message.build {
            $0.string(1, domain)
            $0.integer(2, version)
          })
      }
      for function in functions { $0.message(25, function) }
    }.bytes
  }
}
