import MartletCore
import Testing

@testable import MartletGraph

@Suite struct TopologicalOrderTests {
  private func sort(_ predecessors: [[Int]]) -> TopologicalOrder.Result {
    TopologicalOrder.sort(count: predecessors.count) { predecessors[$0] }
  }

  @Test("an order that is valid stays as it is")
  func stable() {
    #expect(sort([[], [], [0, 1], [2], [0]]) == .order([0, 1, 2, 3, 4]))
    #expect(sort([]) == .order([]))
  }

  @Test("what is needed comes first")
  func reordered() {
    #expect(sort([[2], [0], []]) == .order([2, 0, 1]))
    #expect(sort([[1, 1], []]) == .order([1, 0]))
  }

  @Test("a cycle is reported along the data")
  func cycle() {
    #expect(sort([[], [0, 3], [1], [2]]) == .cycle([1, 2, 3]))
    #expect(sort([[0]]) == .cycle([0]))
  }

  @Test("a chain of 200000 needs no stack")
  func deep() {
    let count = 200_000
    let result = TopologicalOrder.sort(count: count) { $0 + 1 < count ? [$0 + 1] : [] }
    #expect(result == .order(Array((0..<count).reversed())))
  }
}
