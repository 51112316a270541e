import MartletCore
import Synchronization

/// The kinds of handles that cross the boundary. Zero marks a free slot.
enum HandleKind: UInt32 {
  case tensor = 1
  case attributes = 2
  case model = 3
  case context = 4
  case value = 5
  case pool = 6

  var article: String {
    switch self {
    case .tensor: "a tensor"
    case .attributes: "an attribute set"
    case .model: "a model"
    case .context: "a run context"
    case .value: "a value"
    case .pool: "a thread pool"
    }
  }
}

/// What a handle stands for.
protocol HandleObject: AnyObject {
  static var kind: HandleKind { get }
}

/// One handle: its kind, who holds it and the object that it keeps alive.
private struct HandleSlot: ~Copyable {
  /// A thread that has a pin finds `kind` and `object` as they are; without references none is given.
  static let pin: UInt = 1 << 48
  static let references = pin - 1

  /// C references, and pins times `pin`; whoever leaves nothing withdraws what is below.
  let holders = Atomic<UInt>(0)
  let kind = Atomic<UInt32>(0)
  var object: Unmanaged<AnyObject>?
  /// The next free slot.
  var next: UnsafeMutablePointer<HandleSlot>?
}

/// The only place that turns objects into opaque pointers and back.
///
/// Handles are addresses of slots in slabs that are never given back, and a released slot is reused
/// last: so a pointer of another kind, a released handle and a pointer that is no handle are all
/// recognised without touching memory that is not ours. Handles in use bound the slabs' size.
///
/// @unchecked Sendable: the free list is behind the lock, slabs are published by `slabCount`, and
/// slots change hands through `holders`. Any call may meet a release of the same handle on another
/// thread: it then has the object, or finds none.
final class HandleTable: @unchecked Sendable {
  static let shared = HandleTable()

  private static let slabLimit = 40
  private static let firstSlabCapacity = 256
  /// A released slot is reused only after this many others were released.
  private static let quarantine = 512

  private let slabs: UnsafeMutablePointer<UnsafeMutablePointer<HandleSlot>?>
  private let slabCount = Atomic<Int>(0)
  private let free = Lock(FreeSlots())

  private struct FreeSlots {
    /// Slots of the last slab that nothing has used.
    var fresh = 0
    var head: UnsafeMutablePointer<HandleSlot>?
    var tail: UnsafeMutablePointer<HandleSlot>?
    var count = 0
  }

  private init() {
    slabs = .allocate(capacity: HandleTable.slabLimit)
    slabs.initialize(repeating: nil, count: HandleTable.slabLimit)
  }

  // MARK: - References

  /// A handle with one reference to `object`.
  func create<T: HandleObject>(_ object: T) throws(MartletError) -> OpaquePointer {
    let slot = try takeSlot()
    slot.pointee.object = Unmanaged.passRetained(object as AnyObject)
    slot.pointee.kind.store(T.kind.rawValue, ordering: .relaxed)
    slot.pointee.holders.store(1, ordering: .releasing)
    return OpaquePointer(slot)
  }

  /// The object of a handle; throws `invalidHandle`, naming the parameter, for anything else.
  func resolve<T: HandleObject>(
    _ handle: OpaquePointer?, _ parameter: String, as type: T.Type = T.self
  ) throws(MartletError) -> T {
    let slot = try pinned(handle, parameter, T.kind)
    let object = slot.pointee.object?.retain()
    unpin(slot)
    guard let object else {
      throw MartletError(.internalError, "\(parameter) is a handle without an object")
    }
    // The slot's kind says which class this is.
    return unsafeDowncast(object.takeRetainedValue(), to: T.self)
  }

  /// The object of a handle, or nil for NULL.
  func resolveOptional<T: HandleObject>(
    _ handle: OpaquePointer?, _ parameter: String, as type: T.Type = T.self
  ) throws(MartletError) -> T? {
    handle == nil ? nil : try resolve(handle, parameter, as: type)
  }

  func retain(_ handle: OpaquePointer?, _ parameter: String, _ kind: HandleKind)
    throws(MartletError)
  {
    let slot = try pinned(handle, parameter, kind)
    slot.pointee.holders.wrappingAdd(1, ordering: .relaxed)
    unpin(slot)
  }

  /// Drops a reference; NULL is fine.
  func release(_ handle: OpaquePointer?, _ parameter: String, _ kind: HandleKind)
    throws(MartletError)
  {
    guard handle != nil else { return }
    let slot = try pinned(handle, parameter, kind)
    var seen = slot.pointee.holders.load(ordering: .relaxed)
    // Another thread may have released the last one meanwhile.
    while seen & HandleSlot.references > 0 {
      let (exchanged, original) = slot.pointee.holders.weakCompareExchange(
        expected: seen, desired: seen - 1, ordering: .relaxed)
      if exchanged {
        unpin(slot)
        return
      }
      seen = original
    }
    unpin(slot)
    throw HandleTable.released(parameter, kind)
  }

  // MARK: - Slots

  /// The slot of a handle that C holds, which stays what it is until it is unpinned.
  private func pinned(_ handle: OpaquePointer?, _ parameter: String, _ kind: HandleKind)
    throws(MartletError) -> UnsafeMutablePointer<HandleSlot>
  {
    guard let handle else { throw HandleTable.invalid(parameter, kind, "NULL") }
    guard isSlot(UInt(bitPattern: handle)) else {
      throw HandleTable.invalid(parameter, kind, "a pointer that is not a Martlet handle")
    }
    let slot = UnsafeMutablePointer<HandleSlot>(handle)
    var seen = slot.pointee.holders.load(ordering: .relaxed)
    while seen & HandleSlot.references > 0 {
      let (exchanged, original) = slot.pointee.holders.weakCompareExchange(
        expected: seen, desired: seen + HandleSlot.pin, successOrdering: .acquiring,
        failureOrdering: .relaxed)
      if exchanged {
        let actual = slot.pointee.kind.load(ordering: .relaxed)
        if actual == kind.rawValue { return slot }
        unpin(slot)
        let what = HandleKind(rawValue: actual).map { "\($0.article) handle" }
        throw HandleTable.invalid(parameter, kind, what ?? "no handle")
      }
      seen = original
    }
    throw HandleTable.released(parameter, kind)
  }

  private func unpin(_ slot: UnsafeMutablePointer<HandleSlot>) {
    let left = slot.pointee.holders.wrappingSubtract(
      HandleSlot.pin, ordering: .acquiringAndReleasing
    ).newValue
    guard left == 0 else { return }
    // Nobody has it and nobody can: it is this thread's.
    slot.pointee.kind.store(0, ordering: .relaxed)
    let object = slot.pointee.object
    slot.pointee.object = nil
    giveBack(slot)
    object?.release()
  }

  private func isSlot(_ address: UInt) -> Bool {
    let stride = UInt(MemoryLayout<HandleSlot>.stride)
    for index in 0..<slabCount.load(ordering: .acquiring) {
      let base = UInt(bitPattern: slabs[index])
      let size = UInt(HandleTable.firstSlabCapacity << index) * stride
      if address >= base, address - base < size { return (address - base) % stride == 0 }
    }
    return false
  }

  private func takeSlot() throws(MartletError) -> UnsafeMutablePointer<HandleSlot> {
    try free.withLock { free throws(MartletError) in
      if free.count > HandleTable.quarantine, let slot = free.head {
        free.head = slot.pointee.next
        if free.head == nil { free.tail = nil }
        free.count -= 1
        return slot
      }
      if free.fresh == 0 { free.fresh = try addSlab() }
      free.fresh -= 1
      guard let slab = slabs[slabCount.load(ordering: .relaxed) - 1] else {
        throw MartletError(.internalError, "the handle table lost a slab")
      }
      return slab + free.fresh
    }
  }

  /// Adds a slab, under the lock, and gives its number of slots.
  private func addSlab() throws(MartletError) -> Int {
    let count = slabCount.load(ordering: .relaxed)
    guard count < HandleTable.slabLimit else {
      throw MartletError(.outOfMemory, "too many handles")
    }
    let capacity = HandleTable.firstSlabCapacity << count
    guard let block = Storage.block(byteCount: capacity * MemoryLayout<HandleSlot>.stride) else {
      throw MartletError(.outOfMemory, "no memory for \(capacity) more handles")
    }
    let slab = block.bindMemory(to: HandleSlot.self, capacity: capacity)
    for index in 0..<capacity { (slab + index).initialize(to: HandleSlot()) }
    slabs[count] = slab
    slabCount.store(count + 1, ordering: .releasing)
    return capacity
  }

  private func giveBack(_ slot: UnsafeMutablePointer<HandleSlot>) {
    free.withLock { free in
      slot.pointee.next = nil
      if let tail = free.tail { tail.pointee.next = slot } else { free.head = slot }
      free.tail = slot
      free.count += 1
    }
  }

  private static func released(_ parameter: String, _ kind: HandleKind) -> MartletError {
    invalid(parameter, kind, "an already released handle")
  }

  private static func invalid(_ parameter: String, _ kind: HandleKind, _ actual: String)
    -> MartletError
  {
    MartletError(
      .invalidHandle, "\(parameter) is \(actual), expected \(kind.article) handle",
      input: parameter, expected: "\(kind.article) handle", actual: actual)
  }
}
