import MartletCore
import Testing

@testable import MartletOperators

@Suite struct MaxUnpoolTests {
  private let attributes: [String: AttributeValue] = [
    "kernel_shape": .ints([2, 2]), "strides": .ints([2, 2]),
  ]

  @Test("puts elements where they were", arguments: [DType.float32, .float64, .float16, .bfloat16])
  func places(_ dtype: DType) throws {
    let x = try tensor([1, 2, 3, 4], [1, 1, 2, 2], dtype)
    let indices = try ints([5, 7, 13, 15], [1, 1, 2, 2])
    let result = try run("MaxUnpool", [x, indices], attributes)[0]
    #expect(result.shape == [1, 1, 4, 4] && result.dtype == dtype)
    #expect(result.values == [0, 0, 0, 0, 0, 1, 0, 2, 0, 0, 0, 0, 0, 3, 0, 4])
    // ONNX's test_maxunpool_export_with_output_shape: indices go on counting over 4 x 4.
    let larger = try run("MaxUnpool", [x, indices, ints([1, 1, 5, 5])], attributes)[0]
    #expect(larger.shape == [1, 1, 5, 5])
    #expect(
      larger.values == [
        0, 0, 0, 0, 0, 0, 1, 0, 2, 0, 0, 0, 0, 0, 0, 0, 3, 0, 4, 0, 0, 0, 0, 0, 0,
      ])
  }

  @Test("is MaxPool's way back, images and channels too") func back() throws {
    let image = try tensor(
      (0..<2 * 3 * 6 * 8).map { Double($0 * 7919 % 577) }, [2, 3, 6, 8], .float32)
    let pooled = try run("MaxPool", [image], attributes, outputs: 2)
    let result = try run("MaxUnpool", [pooled[0], pooled[1]], attributes)[0]
    #expect(result.shape == image.shape)
    #expect(zip(result.values, image.values).allSatisfy { $0 == 0 || $0 == $1 })
    #expect(try values("MaxPool", [result], attributes) == pooled[0].values)
  }

  @Test("what does not fit is named") func refusals() throws {
    let x = try iota([1, 1, 2, 2])
    func error(_ inputs: [Tensor?], _ attributes: [String: AttributeValue]) -> MartletError? {
      martletError { _ = try run("MaxUnpool", inputs, attributes) }
    }
    for index in [16, -1, Int.max, Int.min] {
      let wrong = error([x, try ints([0, 1, 2, index], [1, 1, 2, 2])], attributes)
      #expect(wrong?.input == "I" && wrong?.expected == "0..<16" && wrong?.actual == "\(index)")
    }
    let indices = try ints([0, 1, 2, 3], [1, 1, 2, 2])
    #expect(error([x, try ints([0, 1, 2, 3])], attributes)?.code == .invalidShape)
    for shape in [[1, 1, 3, 4], [1, 2, 4, 4], [4, 4], [1, 1, 4, Int.max]] {
      #expect(error([x, indices, try ints(shape)], attributes)?.code == .invalidShape)
    }
    #expect(error([x, indices], [:])?.input == "kernel_shape")
    #expect(error([x, indices], ["kernel_shape": .ints([2])])?.input == "kernel_shape")
    let pads = attributes.merging(["pads": .ints([3, 3, 3, 3])]) { $1 }
    #expect(error([x, indices], pads)?.input == "pads")
    #expect(error([try iota([1, 1, 2, 2], .int32), indices], attributes)?.code == .invalidDType)
    let types = try infer(
      "MaxUnpool",
      [
        ValueType(dtype: .float32, shape: [.symbol("n"), .known(3), .symbol("h"), .known(5)]), nil,
      ], attributes)
    #expect(types[0].text == "float32[n, 3, 2*h, 10]")
  }
}
