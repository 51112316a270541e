import MartletKernels
import Testing

@Suite struct VectorTablesTests {
  /// A table whose type says that it lacks nothing may lack what a C initializer forgot.
  @Test("no instruction set's table lacks a function, whether this processor runs it or not")
  func complete() throws {
    var count: Int32 = 0
    let list = try #require(mk_isa_list(&count))
    let words = MemoryLayout<mk_vector_table>.size / MemoryLayout<UInt>.size
    for index in 0..<Int(count) {
      let isa = try #require(list[index]).pointee
      let name = String(cString: isa.name)
      // Read through a pointer that may be null, as C wrote it.
      let field = try #require(MemoryLayout<mk_isa>.offset(of: \.vectors))
      let table = withUnsafeBytes(of: isa) {
        $0.load(fromByteOffset: field, as: UnsafePointer<mk_vector_table>?.self)
      }
      try #require(table != nil, "\(name) has no table")
      isa.vectors.withMemoryRebound(to: UInt.self, capacity: words) { functions in
        for word in 0..<words {
          #expect(functions[word] != 0, "\(name) lacks function \(word) of \(words)")
        }
      }
    }
  }
}
