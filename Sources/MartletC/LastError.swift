import CMartlet
import Glibc
import MartletCore

/// The last failure of each thread, in C memory that goes with the thread.
enum LastError {
  /// Keeps `error` as the calling thread's last one.
  static func record(_ error: MartletError) {
    guard let key, let record = ownRecord(key) else { return }
    freeStrings(record)
    record.pointee = martlet_error(
      status: error.code.rawValue,
      message: error.message.withCString { UnsafePointer(strdup($0)) } ?? outOfMemory,
      node: copy(error.node), operator_name: copy(error.operatorName), input: copy(error.input),
      expected: copy(error.expected), actual: copy(error.actual))
  }

  /// Keeps, and gives, that there is no more memory; takes none.
  static func recordOutOfMemory() -> martlet_status {
    let status = MartletError.Code.outOfMemory.rawValue
    if let key, let record = pthread_getspecific(key) {
      let record = record.assumingMemoryBound(to: martlet_error.self)
      freeStrings(record)
      record.pointee = martlet_error()
      record.pointee.status = status
      record.pointee.message = outOfMemory
    }
    return status
  }

  /// The calling thread's last error.
  static var current: UnsafePointer<martlet_error> {
    if let key, let record = pthread_getspecific(key) {
      return UnsafePointer(record.assumingMemoryBound(to: martlet_error.self))
    }
    return none
  }

  /// What a thread without a failure sees: written once, then only read.
  nonisolated(unsafe) private static let none: UnsafePointer<martlet_error> = {
    let record = UnsafeMutablePointer<martlet_error>.allocate(capacity: 1)
    record.initialize(to: martlet_error())
    record.pointee.message = InternedStrings.pointer("")
    return UnsafePointer(record)
  }()

  /// Made while memory is to be had, for when it is not.
  nonisolated(unsafe) private static let outOfMemory = InternedStrings.pointer("out of memory")

  private static let key: pthread_key_t? = {
    _ = outOfMemory
    var key = pthread_key_t()
    let result = pthread_key_create(&key) { pointer in
      guard let pointer else { return }
      let record = pointer.assumingMemoryBound(to: martlet_error.self)
      LastError.freeStrings(record)
      record.deallocate()
    }
    return result == 0 ? key : nil
  }()

  private static func ownRecord(_ key: pthread_key_t) -> UnsafeMutablePointer<martlet_error>? {
    if let record = pthread_getspecific(key) {
      return record.assumingMemoryBound(to: martlet_error.self)
    }
    let record = UnsafeMutablePointer<martlet_error>.allocate(capacity: 1)
    record.initialize(to: martlet_error())
    guard pthread_setspecific(key, record) == 0 else {
      record.deallocate()
      return nil
    }
    return record
  }

  private static func copy(_ text: String?) -> UnsafePointer<CChar>? {
    text.flatMap { $0.withCString { UnsafePointer(strdup($0)) } }
  }

  private static func freeStrings(_ record: UnsafeMutablePointer<martlet_error>) {
    let error = record.pointee
    if error.message != outOfMemory { free(UnsafeMutablePointer(mutating: error.message)) }
    free(UnsafeMutablePointer(mutating: error.node))
    free(UnsafeMutablePointer(mutating: error.operator_name))
    free(UnsafeMutablePointer(mutating: error.input))
    free(UnsafeMutablePointer(mutating: error.expected))
    free(UnsafeMutablePointer(mutating: error.actual))
  }
}
