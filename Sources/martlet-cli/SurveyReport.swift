import MartletCore
import MartletImport
import MartletOperators

/// What `martlet inspect` prints of a model that cannot be run: all that there is, with what is missing
/// marked.
struct SurveyReport {
  let survey: ModelSurvey
  let refusal: MartletError

  /// Whether an operator is among what loading refused.
  private func isMissing(_ row: ModelSurvey.Operators) -> Bool {
    !row.isSupported || row.name == refusal.operatorName
  }

  private static let mark = "not supported"

  var text: String {
    var lines = InspectCommand.facts(survey.metadata).map { "\($0.0): \($0.1)" }
    lines.append(
      "constants: \(survey.constantElements) elements, \((Double(survey.constantBytes) / 1e6).fixed(1)) MB"
    )
    var ports = TextTable(["", "name", "dtype", "shape"])
    for port in survey.inputs { ports.add(["input"] + PortCells.cells(port.name, port.type)) }
    for port in survey.outputs { ports.add(["output"] + PortCells.cells(port.name, port.type)) }
    var operators = TextTable(["operator", "nodes", ""], numeric: 1..<2)
    operators.styles[SurveyReport.mark] = .failure
    // What is missing comes first.
    for row in survey.operators.filter(isMissing) + survey.operators.filter({ !isMissing($0) }) {
      operators.add([row.name, "\(row.count)", isMissing(row) ? SurveyReport.mark : ""])
    }
    return (lines + ["", ports.text, "", operators.text, "", "\(refusal)"])
      .joined(separator: "\n")
  }

  var document: JSON {
    var members: [(String, JSON)] = InspectCommand.facts(survey.metadata).map {
      ($0.0, .string($0.1))
    }
    members += [
      ("runs", .bool(false)), ("reason", .string("\(refusal)")),
      (
        "not_supported",
        .strings(survey.operators.filter(isMissing).map(\.name))
      ),
      (
        "inputs",
        .array(survey.inputs.map { PortCells.document($0.name, $0.type) })
      ),
      (
        "outputs",
        .array(survey.outputs.map { PortCells.document($0.name, $0.type) })
      ),
      ("constant_elements", .int(survey.constantElements)),
      ("constant_bytes", .int(survey.constantBytes)),
      ("operators", .object(survey.operators.map { ($0.name, .int($0.count)) })),
      (
        "properties",
        .object(survey.metadata.properties.map { ($0.key, .string($0.value)) })
      ),
    ]
    return .object(members)
  }
}
