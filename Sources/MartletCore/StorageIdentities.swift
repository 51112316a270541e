/// Storages that were met, of which most runs meet few: those are looked through one by one.
package struct StorageIdentities {
  /// A bound, not tuned.
  private static let most = 16

  private var few: [ObjectIdentifier] = []
  private var many: Set<ObjectIdentifier> = []

  package init() {}

  /// Whether it was not there yet.
  @discardableResult
  package mutating func insert(_ storage: Storage) -> Bool {
    let identity = ObjectIdentifier(storage)
    if few.contains(identity) || (!many.isEmpty && many.contains(identity)) { return false }
    if few.count < StorageIdentities.most {
      few.append(identity)
    } else {
      many.insert(identity)
    }
    return true
  }

  /// Adds those of all tensors in `value`.
  package mutating func insert(allOf value: Value) {
    value.forEachTensor { insert($0.storage) }
  }
}
