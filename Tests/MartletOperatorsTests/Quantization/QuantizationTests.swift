import MartletCore
import Testing

@testable import MartletOperators

@Suite struct QuantizationTests {
  @Test("quantising rounds half to even, saturates and takes NaN to the least value")
  func quantizes() throws {
    let x = try tensor([0, 1, 3, -1, 5, 1000, -1000, .nan])
    let two = try tensor([2], [])
    #expect(
      try values("QuantizeLinear", [x, two, tensor([10], [], .uint8)])
        == [10, 10, 12, 10, 12, 255, 0, 0])
    #expect(
      try values("QuantizeLinear", [x, two, tensor([-3], [], .int8)])
        == [-3, -3, -1, -3, -1, 127, -128, -128])
    let plain = try run("QuantizeLinear", [x, two, nil])[0]
    #expect(plain.dtype == .uint8)
    #expect(
      try run("QuantizeLinear", [x, two, nil], ["output_dtype": .int(Int(DType.int16.rawValue))])[
        0
      ].values == [0, 0, 2, 0, 2, 500, -500, -32768])
    #expect(
      try values("QuantizeLinear", [tensor([7, -9], nil, .int32), two, nil]) == [4, 0])
  }

  @Test("scales lie along an axis or in blocks of it") func axes() throws {
    let x = try iota([2, 3, 2])
    let scale = try tensor([1, 2, 4])
    let zero = try tensor([0, 1, 2], nil, .uint8)
    let perAxis = try run("QuantizeLinear", [x, scale, zero])[0]
    #expect(perAxis.values == [0, 1, 2, 3, 3, 3, 6, 7, 5, 5, 4, 5])
    #expect(
      try values("DequantizeLinear", [perAxis, scale, zero])
        == [0, 1, 2, 4, 4, 4, 6, 7, 8, 8, 8, 12])
    #expect(
      try values(
        "QuantizeLinear", [try iota([2, 3]), tensor([1, 2, 4]), nil], ["axis": .int(-1)])
        == [0, 0, 0, 3, 2, 1])
    let blocks = try tensor([1, 2, 4, 8], [2, 2])
    #expect(
      try values(
        "DequantizeLinear", [tensor([1, 1, 1, 1, 1, 1], [2, 3], .int8), blocks, nil],
        ["axis": .int(1), "block_size": .int(2)]) == [1, 1, 2, 4, 4, 8])
    #expect(
      try values(
        "DequantizeLinear", [tensor([1, 1, 1, 1, 1, 1], [3, 2], .int8), blocks, nil],
        ["axis": .int(0), "block_size": .int(2)]) == [1, 2, 1, 2, 4, 8])
  }

  @Test("integers of 4 and 2 bits saturate, with zero points and in blocks") func packed() throws {
    let x = try tensor([0, 1, 3, -1, 5, 1000, -1000, .nan])
    let two = try tensor([2], [])
    #expect(
      try values("QuantizeLinear", [x, two, tensor([1], [], .int4)])
        == [1, 1, 3, 1, 3, 7, -8, -8])
    #expect(
      try values("QuantizeLinear", [x, two, tensor([1], [], .uint4)]) == [1, 1, 3, 1, 3, 15, 0, 0])
    #expect(
      try values("QuantizeLinear", [x, two, tensor([0], [], .int2)]).suffix(4) == [1, 1, -2, -2])
    #expect(
      try values("QuantizeLinear", [x, two, tensor([1], [], .uint2)]).suffix(3) == [3, 0, 0])
    let q = try tensor([-8, 7, 0, 1, 2, 3], [2, 3], .int4)
    #expect(
      try values("DequantizeLinear", [q, two, tensor([-1], [], .int4)]) == [-14, 16, 2, 4, 6, 8])
    let blocks = try tensor([1, 2, 4, 8], [2, 2])
    let zeros = try tensor([0, 1, 0, 1], [2, 2], .int4)
    #expect(
      try values(
        "DequantizeLinear", [q, blocks, zeros], ["axis": .int(1), "block_size": .int(2)])
        == [-8, 7, -2, 4, 8, 16])
  }

  @Test("floats of 4 to 8 bits are rounded once, and scales may be powers of two")
  func narrowFloats()
    throws
  {
    let x = try tensor([0, 1, 3, -1, 5, 1000, -1000, 3000])
    let two = try tensor([2], [])
    let type = ["output_dtype": AttributeValue.int(Int(DType.float8e4m3fn.rawValue))]
    #expect(
      try values("QuantizeLinear", [x, two, nil], type)
        == [0, 0.5, 1.5, -0.5, 2.5, 448, -448, 448])
    #expect(
      try values(
        "QuantizeLinear", [x, two, tensor([0], [], .float8e4m3fn)], ["saturate": .int(0)])[7]
        .isNaN)
    #expect(
      try values("QuantizeLinear", [x, two, tensor([1], [], .float4e2m1)])
        == [1, 1.5, 2, 0.5, 4, 6, -6, 6])
    let scale = try tensor([4], [], .float8e8m0)
    #expect(
      try values("QuantizeLinear", [x, scale, tensor([0], [], .float6e3m2)])
        == [0, 0.25, 0.75, -0.25, 1.25, 28, -28, 28])
    let q = try tensor([0.5, 6, -1.5], nil, .float4e2m1)
    let float = ["output_dtype": AttributeValue.int(1)]
    #expect(try values("DequantizeLinear", [q, scale, nil], float) == [2, 24, -6])
    #expect(
      try values("DequantizeLinear", [q, two, tensor([1], [], .float4e2m1)]) == [-1, 10, -5])
    for (inputs, attributes) in [
      ([q, scale, nil], [:]), ([x, two, try tensor([0], [], .float8e8m0)], type),
      ([q, two, try tensor([1], [], .int4)], [:]),
    ] as [([Tensor?], [String: AttributeValue])] {
      let name = inputs[0]?.dtype == .float32 ? "QuantizeLinear" : "DequantizeLinear"
      #expect(martletError { _ = try run(name, inputs, attributes) }?.code == .invalidDType)
    }
    let odd = try tensor([1], [], .float8e5m2)
    #expect(
      martletError { _ = try run("QuantizeLinear", [x, two, odd]) }?.code == .unsupported)
  }

  @Test("large tensors are quantised in pieces of the same values") func pieces() throws {
    for shape in [[3, 40_001], [40_001, 3], [200_000], [7, 3, 9001]] {
      let x = try iota(shape)
      let axis = shape.count == 1 ? 0 : 1
      let count = shape[axis]
      let scale = try tensor((0..<count).map { 1000 + Double($0 % 7) })
      let all = try values("QuantizeLinear", [x, scale, nil], ["axis": .int(axis)])
      let inner = shape[(axis + 1)...].reduce(1, *)
      let isRight = all.indices.allSatisfy { index in
        let entry = index / inner % count
        let quotient = Float(index) / Float(1000 + entry % 7)
        return Float(all[index]) == min(quotient.rounded(.toNearestOrEven), 255)
      }
      #expect(isRight, "\(shape)")
    }
  }

  @Test("a tensor's own range becomes its scale and zero point") func dynamic() throws {
    let outputs = try run(
      "DynamicQuantizeLinear", [tensor([0, 2, -3, -2.5, 1.34, 0.5])], outputs: 3)
    #expect(outputs[0].values == [153, 255, 0, 26, 221, 179])
    #expect(agree(outputs[1].values, [0.0196078438]))
    #expect(outputs[2].values == [153])
    let zeros = try run("DynamicQuantizeLinear", [tensor([0, 0])], outputs: 3)
    #expect(zeros[1].values == [1] && zeros[0].values == [0, 0])
    let odd = try run("DynamicQuantizeLinear", [tensor([.nan, .infinity, -.infinity])], outputs: 3)
    #expect(odd[0].count == 3)
    #expect(try run("DynamicQuantizeLinear", [tensor([], [0])], outputs: 3)[0].count == 0)
  }

  @Test("integer matrices multiply with zero points per tensor, row and column")
  func matMulInteger() throws {
    let a = try tensor([11, 7, 3, 10, 6, 2, 9, 5, 1, 8, 4, 0], [4, 3], .uint8)
    let b = try tensor([1, 4, 2, 5, 3, 6], [3, 2], .uint8)
    let twelve = try tensor([12], [], .uint8)
    #expect(
      try values("MatMulInteger", [a, b, twelve, nil])
        == [-38, -83, -44, -98, -50, -113, -56, -128])
    let rows = try tensor([11, 10, 9, 8], nil, .uint8)
    #expect(
      try values("MatMulInteger", [a, b, rows, tensor([1, 4], nil, .uint8)])
        == [-20, -20, -20, -20, -20, -20, -20, -20])
    #expect(
      try values("MatMulInteger", [tensor([1, 2, 3], nil, .int8), b]) == [14, 32])
    // A batch whose matrices have zero points of their own.
    let batch = try tensor([1, 2, 3, 4], [2, 1, 2], .int8)
    let weights = try tensor([1, 2, 3, 4], [2, 2, 1], .int8)
    #expect(
      try values("MatMulInteger", [batch, weights, tensor([1, 2], [2, 1, 1], .int8), nil])
        == [2, 11])
    #expect(
      try values("MatMulInteger", [batch, tensor([1, 2], [2, 1], .int8), nil, nil]) == [5, 11])
  }

  @Test("quantised products rescale and saturate") func qLinearMatMul() throws {
    let a = try tensor([10, 20, 30, 40], [2, 2], .uint8)
    let b = try tensor([1, -1, 2, 3], [2, 2], .int8)
    func product(_ aScale: Tensor, _ bScale: Tensor, _ yScale: Double) throws -> [Double] {
      try values(
        "QLinearMatMul",
        [
          a, aScale, tensor([10], [], .uint8), b, bScale, tensor([0], [], .int8),
          tensor([yScale], []), tensor([5], [], .uint8),
        ])
    }
    // Sums: [20, 30], [80, 70].
    #expect(try product(tensor([0.5], []), tensor([0.5], []), 0.5) == [15, 20, 45, 40])
    #expect(try product(tensor([0.5], []), tensor([0.5, 1], nil), 0.5) == [15, 35, 45, 75])
    #expect(try product(tensor([0.5, 1], nil), tensor([0.5], []), 0.5) == [15, 20, 85, 75])
    #expect(try product(tensor([8], []), tensor([8], []), 0.5) == [255, 255, 255, 255])
  }

  @Test("integer convolutions pad with the zero point and requantise per channel")
  func convolutions() throws {
    let x = try tensor([2, 3, 4, 5, 6, 7, 8, 9, 10], [1, 1, 3, 3], .uint8)
    let w = try tensor([1, 1, 1, 1], [1, 1, 2, 2], .uint8)
    let one = try tensor([1], [], .uint8)
    #expect(try values("ConvInteger", [x, w, one]) == [12, 16, 24, 28])
    #expect(
      try values("ConvInteger", [x, w, one], ["pads": .ints([1, 1, 1, 1])])
        == [1, 3, 5, 3, 5, 12, 16, 9, 11, 24, 28, 15, 7, 15, 17, 9])
    let two = try tensor([1, 1, 1, 1, 2, 0, 0, 0], [2, 1, 2, 2], .int8)
    let result = try values(
      "QLinearConv",
      [
        x, tensor([1], []), one, two, tensor([0.5, 2], nil), tensor([0, 0], nil, .int8),
        tensor([1], []), tensor([3], [], .uint8), tensor([2, -4], nil, .int32),
      ])
    #expect(result == [10, 12, 16, 18, 0, 3, 11, 15])
  }

  @Test("what does not fit is refused with the operator's name") func refusals() throws {
    func refuses(
      _ name: String, _ inputs: [Tensor?], _ attributes: [String: AttributeValue] = [:]
    ) {
      #expect {
        try run(name, inputs, attributes)
      } throws: { error in
        (error as? MartletError)?.operatorName == name
      }
    }
    let x = try iota([2, 3])
    refuses("QuantizeLinear", [x, try tensor([1, 2]), nil])
    refuses("QuantizeLinear", [x, try tensor([1, 2, 3]), try tensor([0, 0], nil, .uint8)])
    refuses("QuantizeLinear", [x, try tensor([1], []), try tensor([0], [], .int32)])
    refuses("QuantizeLinear", [x, try tensor([1, 2, 3]), nil], ["axis": .int(2)])
    refuses("QuantizeLinear", [x, try tensor([1, 2, 3]), nil], ["block_size": .int(-1)])
    refuses("QuantizeLinear", [x, try tensor([1, 2, 3]), nil], ["block_size": .int(2)])
    refuses("DequantizeLinear", [x, try tensor([1], []), nil])
    refuses("DynamicQuantizeLinear", [try tensor([1], nil, .float64)])
    let a = try iota([2, 3], .uint8)
    refuses("MatMulInteger", [a, a])
    refuses("MatMulInteger", [a, try iota([3, 2])])
    refuses("MatMulInteger", [a, try iota([3, 2], .int8), try tensor([0, 0, 0], nil, .uint8)])
    refuses("MatMulInteger", [try tensor([1], [], .uint8), a])
    refuses("ConvInteger", [try iota([1, 2, 4], .uint8), try iota([1, 1, 2], .uint8)])
    refuses("ConvInteger", [try iota([1, 1, 1], .uint8), try iota([1, 1, 2], .uint8)])
  }
}
