import MartletCore
import Testing

@Suite struct RunMemoryTests {
  @Test(
    "what a node was given lives until it has run, whoever lets go of it before",
    arguments: [DType.float32, .string, .int4])
  func owned(dtype: DType) throws {
    let memory = RunMemory()
    weak var fresh: Storage?
    weak var scratch: Storage?
    do {
      fresh = try memory.fresh(dtype, [3]).storage
      scratch = try memory.scratch(dtype, [3]).storage
    }
    #expect(fresh != nil && scratch != nil && fresh !== scratch)
    memory.endNode()
    #expect(fresh == nil && scratch == nil)
    memory.endNode()
  }

  @Test("a result lives on with those who hold it, and its block comes back with the last")
  func results() throws {
    let memory = RunMemory()
    var result: Tensor? = try memory.fresh(.float32, [1000])
    memory.endNode()
    #expect(memory.recycler.statistics.live >= 4000 && result?.count == 1000)
    result = nil
    #expect(memory.recycler.statistics.live == 0)
  }

  @Test("temporary memory is there until its work has ended") func temporary() throws {
    weak var held: Storage?
    let isThere = try RunMemory.temporary { memory throws(MartletError) in
      held = try memory.scratch(.uint8, [5]).storage
      return held != nil
    }
    #expect(isThere && held == nil)
  }
}
