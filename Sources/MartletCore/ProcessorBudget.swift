import Glibc
import MartletPlatform

/// How many processors this process may use: affinity mask and cgroup quota together.
package enum ProcessorBudget {
  /// min(processors in the affinity mask, cgroup quota rounded up), at least 1.
  package static func count() -> Int {
    let affinity = Int(mp_affinity_count())
    guard let quota = cgroupQuota() else { return max(affinity, 1) }
    return max(min(affinity, Int(quota.rounded(.up))), 1)
  }

  /// The tightest CPU quota of this process's cgroup and its ancestors, in processors.
  /// Source: Linux kernel documentation, cgroup-v2 `cpu.max`, cgroup-v1 `cpu.cfs_quota_us`.
  private static func cgroupQuota() -> Double? {
    var tightest: Double?
    func note(_ quota: Double?) {
      if let quota, quota > 0 { tightest = min(tightest ?? quota, quota) }
    }
    for line in text(of: "/proc/self/cgroup").split(separator: "\n") {
      let fields = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
      guard fields.count == 3 else { continue }
      let isV2 = fields[1].isEmpty
      guard isV2 || fields[1].split(separator: ",").contains("cpu") else { continue }
      var path = String(fields[2])
      while true {
        let suffix = path == "/" ? "" : path
        if isV2 {
          note(quotaV2("/sys/fs/cgroup\(suffix)/cpu.max"))
        } else {
          note(quotaV1("/sys/fs/cgroup/cpu\(suffix)"))
        }
        guard let slash = path.lastIndex(of: "/"), path.count > 1 else { break }
        path = slash == path.startIndex ? "/" : String(path[..<slash])
      }
    }
    return tightest
  }

  private static func quotaV2(_ path: String) -> Double? {
    let fields = text(of: path).split(whereSeparator: { $0 == " " || $0 == "\n" })
    guard fields.count == 2, let quota = Double(fields[0]), let period = Double(fields[1]),
      period > 0
    else { return nil }
    return quota / period
  }

  private static func quotaV1(_ folder: String) -> Double? {
    func number(_ file: String) -> Double? {
      text(of: "\(folder)/\(file)").split(separator: "\n").first.flatMap { Double($0) }
    }
    guard let quota = number("cpu.cfs_quota_us"), let period = number("cpu.cfs_period_us"),
      quota > 0, period > 0
    else { return nil }
    return quota / period
  }

  /// The first 64 KiB of a file; empty if it cannot be read.
  private static func text(of path: String) -> String {
    let descriptor = mp_open_read(path)
    guard descriptor >= 0 else { return "" }
    defer { close(descriptor) }
    var bytes = [UInt8](repeating: 0, count: 65536)
    let count = bytes.withUnsafeMutableBytes { read(descriptor, $0.baseAddress, $0.count) }
    return count > 0 ? String(decoding: bytes[..<count], as: UTF8.self) : ""
  }
}
