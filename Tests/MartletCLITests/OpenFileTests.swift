import Glibc
import MartletCore
import Testing

@testable import martlet_cli

@Suite struct OpenFileTests {
  /// A folder of its own, gone afterwards.
  private func withFolder(_ body: (String) throws -> Void) throws {
    let folder = "/tmp/martlet-\(getpid())-\(UInt32.random(in: 0 ... .max))"
    try #require(mkdir(folder, 0o755) == 0)
    defer {
      for name in names(in: folder) { unlink("\(folder)/\(name)") }
      rmdir(folder)
    }
    try body(folder)
  }

  private func names(in folder: String) -> [String] {
    guard let list = opendir(folder) else { return [] }
    defer { closedir(list) }
    var names: [String] = []
    while let entry = readdir(list) {
      let name = withUnsafePointer(to: &entry.pointee.d_name) {
        $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      if name != ".", name != ".." { names.append(name) }
    }
    return names.sorted()
  }

  private func write(_ text: String, to path: String) throws {
    let file = try OpenFile(writing: path)
    try file.write(Array(text.utf8))
    try file.close()
  }

  private func text(_ path: String) throws -> String {
    let file = try OpenFile(reading: path)
    return String(
      decoding: try file.read(count: file.byteCount, what: "the text"), as: UTF8.self)
  }

  private func mode(_ path: String) -> mode_t {
    var status = stat()
    return lstat(path, &status) == 0 ? status.st_mode : 0
  }

  @Test func `a file has its name when it is whole, and not before`() throws {
    try withFolder { folder in
      let path = "\(folder)/\(String(repeating: "x", count: 255))"
      let file = try OpenFile(writing: path)
      try file.write(Array("half".utf8))
      #expect(names(in: folder).count <= 1 && mode(path) == 0)
      try file.close()
      #expect(names(in: folder).count == 1)
      #expect(try text(path) == "half")
    }
  }

  @Test func `a file that is never closed leaves nothing, and the one before it as it was`() throws
  {
    try withFolder { folder in
      let path = "\(folder)/file"
      for hasOld in [false, true] {
        if hasOld { try write("old", to: path) }
        do {
          let file = try OpenFile(writing: path)
          try file.write(Array("new".utf8))
        }
        #expect(names(in: folder) == (hasOld ? ["file"] : []))
      }
      #expect(try text(path) == "old")
    }
  }

  @Test func `links stay links, modes stay, pipes are written as they are`() throws {
    try withFolder { folder in
      let (path, link, lost) = ("\(folder)/file", "\(folder)/link", "\(folder)/lost")
      try write("old", to: path)
      chmod(path, 0o600)
      symlink("file", link)
      symlink("later", lost)
      try write("new", to: link)
      try write("first", to: lost)
      #expect(try text(path) == "new" && text("\(folder)/later") == "first")
      #expect(mode(path) & 0o777 == 0o600)
      #expect(mode(link) & S_IFMT == S_IFLNK && mode(lost) & S_IFMT == S_IFLNK)
      #expect(names(in: folder) == ["file", "later", "link", "lost"])
      let device = try OpenFile(writing: "/dev/null")
      try device.write([1])
      try device.close()
      #expect(mode("/dev/null") & S_IFMT == S_IFCHR)
    }
  }

  @Test func `what cannot be written is an input or output error`() throws {
    let missing = #expect(throws: MartletError.self) {
      try OpenFile(writing: "/nowhere/at/all")
    }
    #expect(missing?.code == .io)
    let full = #expect(throws: MartletError.self) { try write("x", to: "/dev/full") }
    #expect(full?.code == .io)
    #expect(full?.message.contains("/dev/full") == true)
  }
}
