import Testing

@testable import MartletCore

@Suite struct TensorTests {
  @Test("a view must stay inside its storage") func bounds() throws {
    let storage = try Storage(byteCount: 24)
    _ = try Tensor(storage: storage, dtype: .float32, shape: [2, 3])
    _ = try Tensor(storage: storage, dtype: .float32, shape: [3], strides: [-2], byteOffset: 16)
    #expect(throws: MartletError.self) {
      try Tensor(storage: storage, dtype: .float32, shape: [2, 3], byteOffset: 4)
    }
    #expect(throws: MartletError.self) {
      try Tensor(storage: storage, dtype: .float32, shape: [4], strides: [-2], byteOffset: 16)
    }
    #expect(throws: MartletError.self) {
      try Tensor(storage: storage, dtype: .float32, shape: [2], strides: [Int.max])
    }
    #expect(throws: MartletError.self) {
      try Tensor(storage: storage, dtype: .float32, shape: [1], byteOffset: -4)
    }
  }

  @Test("more memory than the machine has is refused, not granted and regretted") func tooMuch() {
    do throws(MartletError) {
      _ = try Storage(byteCount: 1 << 50)
      Issue.record("a petabyte was granted")
    } catch {
      #expect(error.code == .outOfMemory)
    }
  }

  @Test("permuted, sliced and broadcast views share the elements") func views() throws {
    let tensor = try Tensor(uninitialized: .float32, [2, 3])
    let values = tensor.typed(Float.self)
    for index in 0..<6 { values[index] = Float(index) }
    let turned = try tensor.permuted([1, 0])
    #expect(turned.shape == [3, 2] && turned.strides == [1, 3] && !turned.isContiguous)
    let reversed = tensor.sliced(axis: 1, start: 2, count: 3, step: -1)
    #expect(reversed.typed(Float.self)[0] == 2 && reversed.typed(Float.self)[-2] == 0)
    let wide = try tensor.broadcast(to: [4, 2, 3])
    #expect(wide.strides == [0, 3, 1])
    #expect(throws: MartletError.self) { try tensor.broadcast(to: [2, 4]) }
    #expect(throws: MartletError.self) { try turned.reshaped([6]) }
    #expect(throws: MartletError.self) { try tensor.permuted([0, 0]) }
  }

  @Test("a borrowed storage calls its deleter once, when the last tensor goes") func deleter()
    throws
  {
    final class Counter: @unchecked Sendable { var count = 0 }
    let counter = Counter()
    let bytes = UnsafeMutableRawPointer.allocate(byteCount: 16, alignment: 16)
    defer { bytes.deallocate() }
    do {
      let storage = Storage(borrowing: bytes, byteCount: 16, isReadOnly: true) {
        counter.count += 1
      }
      let one = try Tensor(storage: storage, dtype: .float32, shape: [4])
      let two = try one.reshaped([2, 2])
      #expect(two.count == 4 && counter.count == 0)
    }
    #expect(counter.count == 1)
  }
}
