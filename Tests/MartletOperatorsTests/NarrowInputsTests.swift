import MartletBackends
import MartletCore
import Testing

@testable import MartletOperators

@Suite struct NarrowInputsTests {
  static let narrow = DType.allCases.filter(\.isNarrow)

  @Test("operators that are not defined for narrow types refuse them by name", arguments: narrow)
  func refused(dtype: DType) throws {
    let x = try tensor([1, 1], nil, dtype)
    for name in ["Add", "Relu", "Concat", "Gather", "Slice", "ReduceSum", "Max", "MatMul", "Where"]
    {
      for isConstant in [false, true] {
        let inputs: [Tensor?] = name == "Relu" ? [x] : [x, x]
        let node = OperatorNode(
          attributes: Attributes(
            ["axis": .int(0)].filter { _ in name == "Concat" }, operatorName: name),
          constants: isConstant ? inputs : [nil, nil], inputCount: inputs.count, outputCount: 1)
        let error = martletError {
          _ = try OperatorTable.make(OperatorID(name), node).results(inputs, makeContext())
        }
        // Slice and Where want three inputs.
        guard error?.code != .invalidArgument else { continue }
        #expect(error?.code == .invalidDType && error?.actual == "\(dtype)", "\(name)")
        #expect(error?.operatorName == name)
      }
    }
  }

  @Test("no operator traps on narrow types, and what it makes of them can be read")
  func everyOperator() throws {
    for type in OperatorTable.all {
      let schema = type.schema
      for dtype in NarrowInputsTests.narrow {
        for shape in [[], [3], [2, 3], [0, 3], [1, 3, 5, 5]] {
          let x = try Tensor(uninitialized: dtype, shape)
          x.pointer.initializeMemory(as: UInt8.self, repeating: 0x35, count: x.byteCount)
          let most = schema.isVariadic ? max(schema.inputs.count, 3) : schema.inputs.count
          for count in schema.requiredInputs...max(most, schema.requiredInputs) {
            for others in 0..<3 {
              let inputs: [Tensor?] = try (0..<count).map { index in
                if index == 0 || others == 0 { return x }
                return try others == 1 ? ints([0]) : tensor([1], [], .float32)
              }
              var attributes: [String: AttributeValue] = [:]
              if schema.attributes["axis"] != nil { attributes["axis"] = .int(0) }
              if schema.attributes["to"] != nil { attributes["to"] = .int(Int(dtype.rawValue)) }
              let node = OperatorNode(
                attributes: Attributes(attributes, operatorName: schema.name),
                constants: others == 1 ? inputs : [Tensor?](repeating: nil, count: count),
                inputCount: count, outputCount: 1)
              guard
                let results = try? OperatorTable.make(schema.id, node).results(
                  inputs, makeContext())
              else { continue }
              #expect(count == 0 || others > 0 || schema.traits.narrowInputs != .refused)
              for result in results where result.count < 1 << 20 { _ = result.values }
            }
          }
        }
      }
    }
  }

  @Test("packed elements are moved one by one", arguments: narrow) func moved(dtype: DType) throws {
    let x = try tensor([1, 0, 1, 1, 0, 0], [2, 3], dtype)
    let turned = try run("Transpose", [x])[0]
    #expect(turned.dtype == dtype && turned.shape == [3, 2])
    #expect(turned.values == [1, 1, 0, 0, 1, 0].map { $0 == 0 ? x.values[1] : $0 })
    let padded = try run("Pad", [x, ints([0, 1, 0, 0]), tensor([1], [], dtype)])[0]
    #expect(padded.dtype == dtype && padded.shape == [2, 4])
    #expect(padded.values == [1, 1, 0, 1, 1, 1, 0, 0].map { $0 == 0 ? x.values[1] : $0 })
    for name in ["Reshape", "Flatten", "Identity", "Unsqueeze"] {
      let inputs =
        name == "Reshape"
        ? [x, try ints([3, 2])] : name == "Unsqueeze" ? [x, try ints([0])] : [x]
      let result = try run(name, inputs)[0]
      #expect(result.dtype == dtype && result.values == x.values)
    }
    #expect(try values("Shape", [x]) == [2, 3])
    #expect(try values("Size", [x]) == [6])
  }

  @Test("IsNaN and IsInf ask each code of floats of 8 bits, and refuse other narrow types")
  func floatTests() throws {
    let signed: [DType] = [.float8e4m3fn, .float8e4m3fnuz, .float8e5m2, .float8e5m2fnuz]
    for dtype in NarrowInputsTests.narrow {
      let codes = try Tensor(uninitialized: dtype, [256])
      for code in 0..<codes.byteCount {
        codes.pointer.storeBytes(of: UInt8(code), toByteOffset: code, as: UInt8.self)
      }
      let x = codes.values
      let tests: [(name: String, attributes: [String: AttributeValue], holds: (Double) -> Bool)] = [
        ("IsNaN", [:], { $0.isNaN }), ("IsInf", [:], { $0.isInfinite }),
        ("IsInf", ["detect_negative": .int(0)], { $0 == .infinity }),
        ("IsInf", ["detect_positive": .int(0)], { $0 == -.infinity }),
      ]
      for test in tests {
        guard signed.contains(dtype) else {
          let error = martletError { _ = try run(test.name, [codes], test.attributes) }
          #expect(error?.code == .invalidDType && error?.operatorName == test.name)
          #expect(error?.actual == "\(dtype)")
          continue
        }
        let result = try run(test.name, [codes], test.attributes)[0]
        #expect(result.dtype == .bool && result.values == x.map { test.holds($0) ? 1 : 0 })
      }
      if signed.contains(dtype) { #expect(x.contains { $0.isNaN }) }
    }
  }

  @Test("Dropout passes floats of 8 bits on; optionals hold every narrow type", arguments: narrow)
  func handedOn(dtype: DType) throws {
    let x = try tensor([1, 0, 1], nil, dtype)
    if dtype.isSignedFloat8 {
      let results = try run("Dropout", [x], outputs: 2)
      #expect(results[0].isSamePlace(as: x) && results[1].values == [1, 1, 1])
    } else {
      let error = martletError { _ = try run("Dropout", [x]) }
      #expect(error?.code == .invalidDType && error?.input == "data")
    }
    #expect(try run("OptionalGetElement", [x])[0].isSamePlace(as: x))
    #expect(try values("OptionalHasElement", [x]) == [1])
  }

  @Test("a fill value of another type than the data is refused") func mixed() throws {
    let x = try tensor([1, 0], nil, .int4)
    for dtype in [DType.uint8, .uint4, .float8e5m2] {
      let error = martletError {
        _ = try run("Pad", [x, ints([1, 1]), tensor([1], [], dtype)])
      }
      #expect(error?.code == .invalidDType && error?.actual == "\(dtype)")
    }
  }

  @Test("ConstantOfShape fills with narrow elements", arguments: narrow)
  func constantOfShape(dtype: DType) throws {
    let value = try tensor([1], [1], dtype)
    let result = try run("ConstantOfShape", [ints([3, 3])], ["value": .tensor(value)])[0]
    #expect(result.dtype == dtype && result.values == [Double](repeating: 1, count: 9))
  }

  @Test("dtype attributes of other operators do not name narrow types") func attributes() throws {
    for (name, inputs) in [("EyeLike", [try iota([2, 2])]), ("RandomNormalLike", [try iota([2])])] {
      let error = martletError { _ = try run(name, inputs, ["dtype": .int(22)]) }
      #expect(error?.code == .invalidDType && error?.actual == "int4")
    }
  }
}
