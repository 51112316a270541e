import Glibc
import MartletPlatform
import Synchronization

/// A block of memory that tensors share: owned and 64-byte aligned, or borrowed with a deleter.
///
/// @unchecked Sendable: the fields never change after init; who may write the bytes is governed by
/// the tensor's user (a run context belongs to one thread, weights are never written).
package final class Storage: @unchecked Sendable {
  package static let alignment = 64

  package let base: UnsafeMutableRawPointer
  package let byteCount: Int
  /// Whether the bytes may be written.
  package let isReadOnly: Bool
  /// Whether these are the bytes of a mapped file: pages let go come back by themselves.
  package let isMappedFile: Bool
  /// Whether what lies in it is written over by the next run: results that a plan laid out.
  package let isArena: Bool
  /// The strings whose references the bytes are; nil for numbers.
  package let texts: TextSlots?
  private let deallocate: (@Sendable () -> Void)?
  private let isOwned: Bool
  /// What the bytes count for in the run that asked for them.
  private let claim: MemoryClaim?

  /// Bytes held by all owned storages of the process now.
  package static var bytesInUse: Int { inUse.load(ordering: .relaxed) }
  private static let inUse = Atomic<Int>(0)

  /// Bytes of memory in this machine. The system grants more than that and kills the process once
  /// it is touched, so larger requests are refused here.
  private static let physicalBytes: Int = {
    let (bytes, overflow) = sysconf(Int32(_SC_PHYS_PAGES)).multipliedReportingOverflow(
      by: sysconf(Int32(_SC_PAGESIZE)))
    return overflow || bytes <= 0 ? Int.max : bytes
  }()

  /// Whether the machine has so much memory at all.
  package static func fits(byteCount: Int) -> Bool { byteCount <= physicalBytes }

  /// Allocates uninitialised memory, which counts against `allowance` while it is there; throws
  /// `outOfMemory`, also for more than the machine has, and `limitExceeded`.
  package init(
    byteCount: Int, _ allowance: RunAllowance? = nil, isArena: Bool = false
  ) throws(MartletError) {
    self.isArena = isArena
    claim = try MemoryClaim.of(bytes: byteCount, allowance)
    guard byteCount >= 0, byteCount <= Storage.physicalBytes,
      let base = Storage.block(byteCount: byteCount)
    else {
      throw MartletError(.outOfMemory, "cannot allocate \(byteCount) bytes")
    }
    self.base = base
    self.byteCount = byteCount
    self.isReadOnly = false
    self.isMappedFile = false
    self.texts = nil
    self.deallocate = nil
    self.isOwned = true
    Storage.inUse.add(byteCount, ordering: .relaxed)
  }

  /// Uninitialised memory for `free`, 64-byte aligned; nil where there is none.
  ///
  /// Blocks of several huge pages ask for such pages, as far as they fill them: a stream of packed
  /// weights is a quarter faster where a page walk does not come every 4 KiB (1 and 2 rows by 4096 x
  /// 4096, AVX2), and no more memory is used.
  package static func block(byteCount: Int) -> UnsafeMutableRawPointer? {
    let isLarge = byteCount >= 2 * Storage.hugePage
    guard !MemoryReserve.isSpent,
      let pointer = mp_block(
        isLarge ? Storage.hugePage : Storage.alignment, max(byteCount, 1))
    else { return nil }
    if isLarge {
      madvise(pointer, byteCount / Storage.hugePage * Storage.hugePage, Int32(MADV_HUGEPAGE))
    }
    return pointer
  }

  /// Gives back what `block` gave.
  package static func release(_ block: UnsafeMutableRawPointer) { free(block) }

  private static let hugePage = 2 << 20

  /// Wraps memory of somebody else; `deallocate` runs once when the last tensor is gone.
  package init(
    borrowing base: UnsafeMutableRawPointer, byteCount: Int, isReadOnly: Bool,
    isMappedFile: Bool = false, deallocate: (@Sendable () -> Void)? = nil
  ) {
    self.base = base
    self.byteCount = byteCount
    self.isReadOnly = isReadOnly
    self.isMappedFile = isMappedFile
    self.isArena = false
    self.texts = nil
    self.deallocate = deallocate
    self.claim = nil
    self.isOwned = false
  }

  /// Lets go of the pages of a mapped file that lie wholly in `bytes`: they take memory again when
  /// somebody reads them.
  package func letGo(of bytes: Range<Int>) {
    guard isMappedFile else { return }
    let page = UInt(sysconf(Int32(_SC_PAGESIZE)))
    let address = UInt(bitPattern: base)
    let first = (address + UInt(bytes.lowerBound) + page - 1) / page * page
    let end = (address + UInt(bytes.upperBound)) / page * page
    guard first < end else { return }
    madvise(UnsafeMutableRawPointer(bitPattern: first), Int(end - first), Int32(MADV_DONTNEED))
  }

  /// Room for `stringCount` strings, empty at first, which counts against `allowance` while it is there;
  /// throws `outOfMemory` and `limitExceeded`.
  package init(stringCount: Int, _ allowance: RunAllowance? = nil) throws(MartletError) {
    let (bytes, overflow) = stringCount.multipliedReportingOverflow(by: DType.string.wholeByteCount)
    claim = overflow ? nil : try MemoryClaim.of(bytes: bytes, allowance)
    guard !overflow, bytes <= Storage.physicalBytes, let texts = TextSlots(count: stringCount)
    else {
      throw MartletError(.outOfMemory, "cannot allocate \(stringCount) strings")
    }
    base = UnsafeMutableRawPointer(texts.base)
    byteCount = bytes
    isReadOnly = false
    isMappedFile = false
    isArena = false
    self.texts = texts
    deallocate = nil
    isOwned = false
  }

  deinit {
    if isOwned {
      Storage.inUse.subtract(byteCount, ordering: .relaxed)
      Storage.release(base)
    }
    deallocate?()
  }
}
