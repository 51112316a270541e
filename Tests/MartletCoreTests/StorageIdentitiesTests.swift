import MartletCore
import Testing

@Suite struct StorageIdentitiesTests {
  @Test("a storage is new once, among few and among many") func onceEach() throws {
    var identities = StorageIdentities()
    var storages: [Storage] = []
    for _ in 0..<50 { storages.append(try Storage(byteCount: 8)) }
    let first = storages.map { identities.insert($0) }
    let second = storages.map { identities.insert($0) }
    #expect(first.allSatisfy { $0 })
    #expect(!second.contains(true))
  }

  @Test("all tensors of a value count") func values() throws {
    let tensors = try (0..<3).map { _ in try Tensor(uninitialized: .float32, [2]) }
    var identities = StorageIdentities()
    identities.insert(
      allOf: .sequence(try ValueSequence([.tensor(tensors[0]), .optional(.tensor(tensors[1]))])))
    let isNew = tensors.map { identities.insert($0.storage) }
    #expect(isNew == [false, false, true])
  }
}
