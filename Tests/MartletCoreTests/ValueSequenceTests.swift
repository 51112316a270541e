import Testing

@testable import MartletCore

@Suite struct ValueSequenceTests {
  private func tensor(_ dtype: DType = .float32) throws -> Value {
    .tensor(try Tensor(uninitialized: dtype, [2]))
  }

  @Test("a sequence to which elements are appended stays as it is, and so do all between")
  func appending() throws {
    let parts = try (0..<20).map { _ in try tensor() }
    var versions = [try ValueSequence([], dtype: .float32)]
    for part in parts { versions.append(try versions[versions.count - 1].appending(part)) }
    for (count, version) in versions.enumerated() {
      #expect(version.elements.count == count)
      #expect(version.tensorCount == count && version.depth == (count == 0 ? 1 : 2))
      for (element, part) in zip(version.elements, parts) {
        #expect(element.tensor?.storage === part.tensor?.storage)
      }
    }
  }

  @Test("two appended to one sequence do not see each other") func branches() throws {
    let (a, b, c) = (try tensor(), try tensor(.int32), try tensor())
    let base = try ValueSequence([], dtype: .float32).appending(a)
    let (left, right) = (try base.appending(b), try base.appending(c))
    #expect(left.elements[1].tensor?.dtype == .int32)
    #expect(right.elements[1].tensor?.dtype == .float32)
    #expect(!left.isPlain && right.isPlain && base.isPlain)
    #expect(left.elements[0].tensor?.storage === right.elements[0].tensor?.storage)
  }

  @Test("an appended element that lies in an arena is found") func arena() throws {
    let arena = try Storage(byteCount: 64, isArena: true)
    let lent = Value.tensor(
      Tensor(
        unchecked: arena, dtype: .float32, layout: TensorLayout(contiguous: [2]), byteOffset: 0))
    let base = try ValueSequence([], dtype: .float32).appending(try tensor())
    #expect(!base.liesInArena)
    #expect(try base.appending(lent).liesInArena)
  }

  @Test("the memory of a list counts against a run's limit, and is given back") func limit() throws
  {
    var options = RunOptions()
    options.maximumMemoryBytes = 4096
    let allowance = try #require(RunAllowance(options))
    for _ in 0..<10 {
      var sequence = try ValueSequence([], dtype: .float32)
      var refused: MartletError?
      for _ in 0..<1000 where refused == nil {
        do throws(MartletError) {
          sequence = try sequence.appending(.optional(nil), allowance)
        } catch { refused = error }
      }
      #expect(refused?.code == .limitExceeded)
      #expect(sequence.elements.count > 8)
    }
  }
}
