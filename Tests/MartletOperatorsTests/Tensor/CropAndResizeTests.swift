import MartletCore
import Testing

@testable import MartletOperators

@Suite struct CropAndResizeTests {
  private func crop(
    _ boxes: [Double], _ size: [Double], _ attributes: [String: AttributeValue] = [:],
    image: Double = 0
  ) throws -> [Double] {
    let x = try iota([1, 1, 3, 3])
    return try run(
      "com.microsoft.CropAndResize",
      [
        x, try tensor(boxes, [boxes.count / 4, 4]), try tensor([image], [1], .int32),
        try tensor(size, [2], .int32),
      ], attributes)[0].values
  }

  @Test("the corners of a box are samples, a single sample lies in its middle")
  func bilinear() throws {
    #expect(try crop([0, 0, 1, 1], [2, 2]) == [0, 2, 6, 8])
    #expect(try crop([0, 0, 0.5, 1], [2, 3]) == [0, 1, 2, 3, 4, 5])
    #expect(try crop([0, 0, 0.5, 0.5], [1, 1]) == [2])
    #expect(try crop([1, 0, 0, 0.25], [2, 2]) == [6, 6.5, 0, 0.5])
  }

  @Test("nearest rounds half away from zero; outside stands what is asked for")
  func nearest() throws {
    let mode: [String: AttributeValue] = [
      "mode": .string("nearest"), "extrapolation_value": .float(-1),
    ]
    #expect(try crop([0.25, 0, 0.25, 0.5], [1, 2], mode) == [3, 4])
    // Columns 0, 1, 2 and 3.
    #expect(try crop([0, 0, 0, 1.5], [1, 4], mode) == [0, 1, 2, -1])
    #expect(try crop([-0.5, 0, 0.5, 0], [3, 1], mode) == [-1, 0, 3])
  }

  @Test("what does not fit is said") func faults() throws {
    #expect(
      martletError { _ = try crop([0, 0, 1, 1], [2, 2], image: 1) }?.input == "batch_indices")
    #expect(martletError { _ = try crop([0, 0, 1, 1], [0, 2]) }?.input == "crop_size")
    #expect(
      martletError { _ = try crop([0, 0, 1, 1], [2, 2], ["mode": .string("cubic")]) }?.input
        == "mode")
  }
}
