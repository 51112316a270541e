import Glibc
import MartletCore
import MartletRuntime
import ONNXFixtures
import Testing

@testable import MartletImport

@Suite struct ONNXTensorReaderTests {
  /// Loads a model whose only content is this initialiser as output, and runs it.
  private func value(_ proto: Message, directory: TemporaryDirectory? = nil) throws -> Tensor {
    let graph = ONNXEncoder.graph(
      [], outputs: [ONNXEncoder.value("w", 0, nil)], initializers: [proto])
    let bytes = ONNXEncoder.model(graph)
    let model: Model
    if let directory {
      model = try Model.load(path: directory.write("m.onnx", bytes))
    } else {
      model = try Model.load(bytes)
    }
    return try model.makeRun().run([:])[0]
  }

  private func bytes(_ tensor: Tensor) -> [UInt8] {
    Array(
      UnsafeRawBufferPointer(start: tensor.pointer, count: tensor.byteCount))
  }

  @Test(
    "raw data of every dtype arrives bit for bit, at every alignment", arguments: DType.numbers)
  func rawData(dtype: DType) throws {
    for padding in 0..<9 {
      let raw = (0..<dtype.byteCount(of: 6)).map {
        dtype == .bool ? UInt8($0 % 2) : UInt8($0 * 7 & 255)
      }
      let name = String(repeating: "w", count: 1)
      let proto = Message.build {
        $0.string(12, String(repeating: "x", count: padding))
        $0.append(ONNXEncoder.tensor(name, Int(dtype.rawValue), [2, 3], raw: raw).bytes)
      }
      let tensor = try value(proto)
      #expect(tensor.dtype == dtype)
      #expect(tensor.shape == [2, 3])
      #expect(bytes(tensor) == raw)
    }
  }

  @Test("typed fields hold every dtype, packed and unpacked", arguments: [true, false])
  func typedData(isPacked: Bool) throws {
    func proto(_ dtype: DType, _ field: Int, _ values: [Int]) -> Message {
      Message.build {
        $0.integers(1, [values.count])
        $0.string(8, "w")
        // The data may stand before its type.
        if isPacked {
          $0.integers(field, values)
        } else {
          for value in values { $0.integer(field, value) }
        }
        $0.integer(2, Int(dtype.rawValue))
      }
    }
    #expect(bytes(try value(proto(.int32, 5, [-1, 7]))) == rawBytes([Int32(-1), 7]))
    #expect(bytes(try value(proto(.int16, 5, [-2, 7]))) == rawBytes([Int16(-2), 7]))
    #expect(bytes(try value(proto(.int8, 5, [-3, 7]))) == rawBytes([Int8(-3), 7]))
    #expect(bytes(try value(proto(.uint16, 5, [65535]))) == rawBytes([UInt16.max]))
    #expect(bytes(try value(proto(.uint8, 5, [255]))) == [255])
    #expect(bytes(try value(proto(.bool, 5, [0, 1, 5]))) == [0, 1, 1])
    #expect(bytes(try value(proto(.float16, 5, [0x3C00]))) == rawBytes([UInt16(0x3C00)]))
    #expect(bytes(try value(proto(.bfloat16, 5, [0x3F80]))) == rawBytes([UInt16(0x3F80)]))
    #expect(bytes(try value(proto(.int64, 7, [Int.min, 7]))) == rawBytes([Int64.min, 7]))
    #expect(bytes(try value(proto(.uint32, 11, [4_294_967_295]))) == rawBytes([UInt32.max]))
    #expect(bytes(try value(proto(.uint64, 11, [-1]))) == rawBytes([UInt64.max]))
  }

  @Test("floats and doubles in typed fields")
  func floatData() throws {
    let packed = Message.build {
      $0.integers(1, [2])
      $0.integer(2, 1)
      $0.raw(4, rawBytes([Float(1.5), -2]))
      $0.string(8, "w")
    }
    #expect(try value(packed).floats == [1.5, -2])
    let unpacked = Message.build {
      $0.integers(1, [2])
      $0.integer(2, 1)
      $0.float(4, 1.5)
      $0.float(4, -2)
      $0.string(8, "w")
    }
    #expect(try value(unpacked).floats == [1.5, -2])
    let doubles = Message.build {
      $0.integers(1, [1])
      $0.integer(2, 11)
      $0.raw(10, rawBytes([2.25]))
      $0.string(8, "w")
    }
    #expect(bytes(try value(doubles)) == rawBytes([2.25]))
  }

  @Test("raw bools other than 0 and 1 are made 1")
  func bools() throws {
    #expect(bytes(try value(ONNXEncoder.tensor("w", 9, [3], raw: [0, 2, 255]))) == [0, 1, 1])
  }

  @Test("data that is shorter or longer than its shape is refused, with both sizes")
  func wrongSizes() throws {
    for (dims, raw) in [([3], 8), ([3], 16), ([], 8), ([0], 4), ([1 << 40], 4)] {
      let error = martletError {
        _ = try value(
          ONNXEncoder.tensor("w", 1, dims, raw: [UInt8](repeating: 0, count: raw)))
      }
      #expect(error?.code == .invalidModel)
      #expect(error?.message.contains("'w'") == true)
    }
    for dims in [[-1], [1 << 62, 1 << 62], [Int](repeating: 1, count: 40)] {
      let error = martletError { _ = try value(ONNXEncoder.tensor("w", 1, dims, raw: [])) }
      #expect(error?.code == .invalidModel)
    }
    let short = Message.build {
      $0.integers(1, [3])
      $0.integer(2, 7)
      $0.integers(7, [1, 2])
      $0.string(8, "w")
    }
    #expect(martletError { _ = try value(short) }?.message.contains("only 2") == true)
    let long = Message.build {
      $0.integers(1, [1])
      $0.integer(2, 7)
      $0.integers(7, [1, 2])
      $0.string(8, "w")
    }
    #expect(martletError { _ = try value(long) }?.code == .invalidModel)
    let none = Message.build {
      $0.integers(1, [1])
      $0.integer(2, 7)
      $0.string(8, "w")
    }
    #expect(martletError { _ = try value(none) }?.code == .invalidModel)
  }

  @Test("complex numbers are unsupported, unknown types malformed")
  func dtypes() throws {
    for code in [14, 15] {
      let error = martletError { _ = try value(ONNXEncoder.tensor("w", code, [1], raw: [0])) }
      #expect(error?.code == .unsupported)
    }
    for code in [0, 99, -1] {
      let error = martletError { _ = try value(ONNXEncoder.tensor("w", code, [1], raw: [0])) }
      #expect(error?.code == .invalidModel)
    }
  }

  @Test("packed elements stand in int32_data by the byte, those of 6 bits one by one")
  func packedData() throws {
    func proto(_ dtype: DType, _ count: Int, _ values: [Int]) -> Message {
      Message.build {
        $0.integers(1, [count])
        $0.integer(2, Int(dtype.rawValue))
        $0.integers(5, values)
        $0.string(8, "w")
      }
    }
    #expect(try bytes(value(proto(.int4, 3, [0x4F, 0x0A]))) == [0x4F, 0x0A])
    #expect(try bytes(value(proto(.uint2, 5, [0x39, 3]))) == [0x39, 3])
    #expect(try bytes(value(proto(.float4e2m1, 2, [0x21]))) == [0x21])
    #expect(try bytes(value(proto(.float8e5m2, 2, [0x7C, 0xFF]))) == [0x7C, 0xFF])
    #expect(try bytes(value(proto(.float6e3m2, 4, [1, 2, 4, 8]))) == [0x81, 0x40, 0x20])
    #expect(try bytes(value(proto(.float6e3m2, 2, [63, 63]))) == [0xFF, 0x0F])
    for wrong in [proto(.int4, 3, [1]), proto(.int4, 3, [1, 2, 3]), proto(.float6e2m3, 2, [1])] {
      #expect(martletError { _ = try value(wrong) }?.code == .invalidModel)
    }
    let short = ONNXEncoder.tensor("w", 22, [5], raw: [0, 0])
    #expect(martletError { _ = try value(short) }?.code == .invalidModel)
  }

  @Test("strings are read from their fields, whose number and encoding are held against the shape")
  func strings() throws {
    func tensor(_ texts: [[UInt8]], _ dims: [Int]) -> Message {
      Message.build {
        $0.integers(1, dims)
        $0.integer(2, 8)
        for text in texts { $0.raw(6, text) }
        $0.string(8, "w")
      }
    }
    let words = ["", "a", "h\u{e9}"]
    #expect(try value(tensor(words.map { Array($0.utf8) }, [3])).strings == words)
    #expect(try value(tensor([], [0])).strings.isEmpty)
    let faults: [([[UInt8]], [Int])] = [
      ([[97]], [2]), ([[97], [98]], [1]), ([[0xFF]], [1]), ([], [1 << 40]),
    ]
    for (texts, dims) in faults {
      #expect(martletError { _ = try value(tensor(texts, dims)) }?.code == .invalidModel)
    }
    let error = martletError { _ = try value(ONNXEncoder.tensor("w", 8, [1], raw: [97])) }
    #expect(error?.code == .invalidModel)
  }

  // MARK: - External data

  private func external(_ dims: [Int], _ entries: [(String, String)]) -> Message {
    Message.build {
      $0.integers(1, dims)
      $0.integer(2, 1)
      $0.string(8, "w")
      for (key, entry) in entries {
        $0.message(
          13,
          Message.build {
            $0.string(1, key)
            $0.string(2, entry)
          })
      }
      $0.integer(14, 1)
    }
  }

  @Test("external data is read beside the model, at its offset")
  func externalData() throws {
    let directory = TemporaryDirectory()
    _ = directory.write("w.bin", [9, 9, 9] + rawBytes([Float(1), 2, 3]))
    let proto = external([2], [("location", "w.bin"), ("offset", "7"), ("length", "8")])
    #expect(try value(proto, directory: directory).floats == [2, 3])
  }

  @Test(
    "external data that leaves the directory or the file is refused",
    arguments: [
      [("location", "/etc/passwd")], [("location", "../w.bin")], [("location", "a/../../w.bin")],
      [("location", "missing.bin")], [("location", "")], [],
      [("location", "w.bin"), ("offset", "-1")], [("location", "w.bin"), ("offset", "x")],
      [("location", "w.bin"), ("offset", "9223372036854775807")],
      [("location", "w.bin"), ("offset", "8")], [("location", "w.bin"), ("length", "4")],
      [("location", ".")],
    ])
  func externalDataRefused(entries: [(String, String)]) throws {
    let directory = TemporaryDirectory()
    _ = directory.write("w.bin", rawBytes([Float(1), 2, 3]))
    let error = martletError { _ = try value(external([2], entries), directory: directory) }
    #expect([.invalidModel, .io, .notFound].contains(error?.code))
    #expect(error?.message.contains("'w'") == true)
  }

  @Test("links are followed within the model's directory, and not out of it")
  func externalLinks() throws {
    let outside = TemporaryDirectory()
    let directory = TemporaryDirectory()
    let weights = rawBytes([Float(1), 2, 3])
    _ = directory.write("w.bin", weights)
    try #require(symlink("w.bin", directory.path + "/inside.bin") == 0)
    let inside = external([3], [("location", "inside.bin")])
    #expect(try value(inside, directory: directory).floats == [1, 2, 3])
    let target = outside.write("w.bin", weights)
    try #require(symlink(target, directory.path + "/outside.bin") == 0)
    try #require(symlink(outside.path, directory.path + "/folder") == 0)
    for location in ["outside.bin", "folder/w.bin"] {
      let proto = external([3], [("location", location)])
      let error = martletError { _ = try value(proto, directory: directory) }
      #expect(error?.code == .invalidModel)
      #expect(error?.message.contains("leaves the model's directory") == true)
      #expect(error?.message.contains(target) == true && error?.message.contains("'w'") == true)
    }
  }

  @Test("a model in memory has no external data")
  func externalDataInMemory() throws {
    let proto = external([1], [("location", "w.bin")])
    #expect(martletError { _ = try value(proto) }?.code == .unsupported)
  }

  // MARK: - Types

  @Test(
    "types that Martlet does not have are named",
    arguments: [(14, "complex64"), (15, "complex128")])
  func typeNames(code: Int, name: String) throws {
    let proto = ONNXEncoder.tensor("w", code, [1], raw: [0])
    let graph = ONNXEncoder.graph(
      [], outputs: [ONNXEncoder.value("w", 0, nil)], initializers: [proto])
    let cast = ONNXEncoder.graph(
      [ONNXEncoder.node("Cast", ["x"], ["y"], [("to", .int(code))])],
      inputs: [ONNXEncoder.value("x", 1, ["1"])], outputs: [ONNXEncoder.value("y", code, ["1"])])
    for graph in [graph, cast] {
      let error = martletError { _ = try Model.load(ONNXEncoder.model(graph, opset: 25)) }
      #expect(error?.code == .unsupported && error?.message.contains(name) == true)
    }
  }
}
