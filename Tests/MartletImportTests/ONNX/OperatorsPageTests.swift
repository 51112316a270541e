import Glibc
import MartletOperators
import Testing

@testable import MartletImport

@Suite struct OperatorsPageTests {
  private static let path: String =
    #filePath.split(separator: "/").dropLast(4).map { "/" + $0 }.joined() + "/docs/operators.md"

  @Test("docs/operators.md is what the tables of operators state") func page() throws {
    let text = OperatorsPage.text
    if getenv("MARTLET_WRITE_DOCS") != nil { try Self.write(text) }
    let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
    let written = Self.read().split(separator: "\n", omittingEmptySubsequences: false)
    let wrong = zip(lines, written).first { $0 != $1 }
    #expect(
      lines == written,
      """
      docs/operators.md differs from the tables; scripts/operators-page writes it anew. \
      \(wrong.map { "Expected:\n\($0)\nWritten:\n\($1)" } ?? "\(written.count) lines, not \(lines.count)")
      """)
  }

  @Test("every operator stands on the page, and what is refused is told for operators that run")
  func complete() {
    let text = OperatorsPage.text
    for type in OperatorTable.all {
      let id = type.schema.id
      #expect(
        text.contains("\n| \(id.name) |") || ONNXTable.all.contains { $0.target == id },
        "\(id)")
    }
    for entry in ONNXTable.all where !entry.refused.isEmpty {
      #expect(OperatorTable.lookup(entry.target) != nil, "\(entry.op)")
    }
  }

  private static func read() -> String {
    guard let file = fopen(path, "r") else { return "" }
    defer { fclose(file) }
    var bytes: [UInt8] = []
    var next = fgetc(file)
    while next != EOF {
      bytes.append(UInt8(truncatingIfNeeded: next))
      next = fgetc(file)
    }
    return String(decoding: bytes, as: UTF8.self)
  }

  private static func write(_ text: String) throws {
    let file = try #require(fopen(path, "w"), "cannot write \(path)")
    #expect(fputs(text, file) >= 0)
    #expect(fclose(file) == 0)
  }
}
