package eventmesh.peers;

import java.util.List;
import java.util.Map;

/** What the Motan service and caller agree on. */
public interface Desk {
    /** Answers "hello NAME from GROUP"; throws on "fail", sleeps on "sleep MS". */
    String greet(String name);

    /** Tells what it has understood of its arguments. */
    String describe(Map<String, List<Integer>> numbers, byte[] bytes, long large);

    /** Tells the metadata that this call came with, sorted by their names. */
    String told();
}
