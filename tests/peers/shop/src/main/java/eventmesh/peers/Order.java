package eventmesh.peers;

import java.io.Serializable;
import java.util.List;

/** An argument with an object inside. */
public final class Order implements Serializable {
    private static final long serialVersionUID = 1L;
    public String item;
    public int count;
    public Customer customer;

    /** Who has ordered. */
    public static final class Customer implements Serializable {
        private static final long serialVersionUID = 1L;
        public String name;
        public List<String> tags;
    }
}
