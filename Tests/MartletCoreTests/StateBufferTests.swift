import MartletCore
import Testing

@Suite struct StateBufferTests {
  private func numbers(_ shape: [Int], from start: Int = 0) throws -> Tensor {
    let tensor = try Tensor(uninitialized: .int32, shape)
    for index in 0..<tensor.count { tensor.typed(Int32.self)[index] = Int32(start + index) }
    return tensor
  }

  private func values(_ tensor: Tensor) throws -> [Int32] {
    let dense = try tensor.copied()
    return (0..<dense.count).map { dense.typed(Int32.self)[$0] }
  }

  private func appended(_ state: State, _ slices: Tensor) throws -> State {
    let (grown, added) = try state.extended(by: slices.shape[state.axis])
    slices.copyElements(to: added)
    return grown
  }

  @Test("a state grows in place while there is room, and elsewhere when there is none")
  func growth() throws {
    var state = try State(try numbers([2, 1]), axis: 1, capacity: 3)
    let first = state
    let memory = state.tensor.storage
    for step in 1...5 {
      state = try appended(state, try numbers([2, 1], from: 10 * step))
      #expect(state.length == step + 1)
      #expect((state.tensor.storage === memory) == (step <= 2))
      #expect(state.capacity >= state.length)
    }
    #expect(try values(state.tensor) == [0, 10, 20, 30, 40, 50, 1, 11, 21, 31, 41, 51])
    #expect(try values(first.tensor) == [0, 1])
  }

  @Test("what was taken before an append stays as it was, also when it is appended to itself")
  func branches() throws {
    let root = try State(try numbers([1, 2]), axis: 1, capacity: 100)
    let left = try appended(root, try numbers([1, 1], from: 7))
    let right = try appended(root, try numbers([1, 2], from: 8))
    #expect(left.tensor.storage === root.tensor.storage)
    #expect(right.tensor.storage !== root.tensor.storage)
    #expect(try values(root.tensor) == [0, 1])
    #expect(try values(left.tensor) == [0, 1, 7])
    #expect(try values(right.tensor) == [0, 1, 8, 9])
  }

  @Test("writing over a state uses it up, and those that share its memory")
  func overwritten() throws {
    let root = try State(try numbers([1, 2]), axis: 1, capacity: 4)
    let grown = try appended(root, try numbers([1, 1], from: 7))
    let next = try grown.overwritten(inPlace: true)
    #expect(next.tensor.storage === root.tensor.storage && next.length == 3)
    next.tensor.typed(Int32.self)[0] = 9
    #expect(try values(next.tensor) == [9, 1, 7])
    for old in [root, grown] {
      for use in [
        { try old.checkCurrent() }, { _ = try old.extended(by: 1) },
        { _ = try old.overwritten(inPlace: true) }, { _ = try old.overwritten(inPlace: false) },
      ] {
        let error = #expect(throws: MartletError.self) { try use() }
        #expect(error?.code == .invalidState)
      }
    }
    let last = try appended(next, try numbers([1, 1], from: 8))
    #expect(last.tensor.storage === root.tensor.storage)
    #expect(try values(last.tensor) == [9, 1, 7, 8])
    try next.checkCurrent()
  }

  @Test("a state is copied to be written over where others read it, or it is not the newest")
  func copied() throws {
    let root = try State(try numbers([1, 2]), axis: 1, capacity: 4)
    let grown = try appended(root, try numbers([1, 1], from: 7))
    for (state, inPlace) in [(root, true), (grown, false)] {
      let copy = try state.overwritten(inPlace: inPlace)
      #expect(copy.tensor.storage !== root.tensor.storage && copy.capacity == 4)
      #expect(try values(copy.tensor) == (try values(state.tensor)))
      try state.checkCurrent()
    }
  }

  @Test("axes, capacities and sizes that cannot be are refused")
  func refusals() throws {
    let tensor = try numbers([2, 3])
    for (axis, capacity) in [(-1, 4), (2, 4), (1, 2), (1, -1), (0, Int.max)] {
      #expect(throws: MartletError.self) { try State(tensor, axis: axis, capacity: capacity) }
    }
    #expect(throws: MartletError.self) {
      try State(try Tensor(strings: ["a"], [1]), axis: 0, capacity: 2)
    }
    let state = try State(tensor, axis: 1, capacity: 8)
    #expect(throws: MartletError.self) { try state.extended(by: Int.max) }
    #expect(throws: MartletError.self) { try state.extended(by: -1) }
  }
}
