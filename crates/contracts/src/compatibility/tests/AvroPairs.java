// What keeps one schema from reading data of another, by Avro's own library: a file of pairs, reader and writer with a tab between, and
// for each pair a line with the kinds and places of all that does not fit.
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.stream.Collectors;
import org.apache.avro.Schema;
import org.apache.avro.SchemaCompatibility;

public class AvroPairs {
    public static void main(String[] args) throws IOException {
        PrintStream out = new PrintStream(System.out, false, StandardCharsets.UTF_8);
        for (String line : Files.readAllLines(Path.of(args[0]))) {
            String[] pair = line.split("\t");
            Schema reader = new Schema.Parser().parse(pair[0]);
            Schema writer = new Schema.Parser().parse(pair[1]);
            var result = SchemaCompatibility.checkReaderWriterCompatibility(reader, writer).getResult();
            out.println(result.getIncompatibilities().stream()
                .map(one -> one.getType() + " " + one.getLocation())
                .collect(Collectors.joining("; ")));
        }
        out.flush();
    }
}
