import Testing

@testable import martlet_cli

@Suite struct RunCommandTests {
  @Test(arguments: [
    ("out", "out"), ("input:0", "input_0"), ("a/b\\c", "a_b_c"), ("../x", "_.._x"), ("", "_"),
    ("..", "_.."), ("softmax_11.tmp_0", "softmax_11.tmp_0"),
  ])
  func `an output's name becomes a harmless file name`(name: String, file: String) {
    #expect(RunCommand.fileName(name) == file)
  }
}
