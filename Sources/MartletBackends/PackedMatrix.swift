import MartletCore

/// A right-hand matrix packed once for one kernel row and used by many products.
///
/// @unchecked Sendable: immutable after init.
package final class PackedMatrix: @unchecked Sendable {
  package let k: Int
  package let n: Int
  /// The name of the kernel row whose panel layout this is.
  package let layout: String
  package let storage: Storage

  package init(k: Int, n: Int, layout: String, storage: Storage) {
    self.k = k
    self.n = n
    self.layout = layout
    self.storage = storage
  }
}
